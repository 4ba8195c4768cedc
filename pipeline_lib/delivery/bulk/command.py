"""face-verifier verify --pairs and face-verifier embed: many photographs with one call."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.registry.options import ModelUri, TrackingUri
from pipeline_lib.params.machine import load_machine


def verify_table(
    pairs: Path,
    out: Path,
    explain: Path | None,
    fail_on_error: bool,
    fmr: float | None,
    threshold: float | None,
    model: str | None,
    tracking: str | None,
) -> None:
    """Compare the photographs of each row of a table; see cli.verify.

    Raises:
        DataError: `out` would replace the table; see compare.compare_pairs; with `fail_on_error`, a row has no
            answer.
    """
    from pipeline_lib.delivery.bulk.compare import compare_pairs
    from pipeline_lib.delivery.bulk.pairs_file import read_pairs_file
    from pipeline_lib.delivery.identify.model import open_asked

    if out.resolve() == pairs.resolve():
        raise DataError("The answers would replace the table of pairs.", got=out, allowed="another file", where="--out")
    read_pairs_file(pairs)  # what is wrong in it is told before a model is loaded
    with open_asked(model, tracking) as opened:
        logging.basicConfig(level=logging.INFO, format="%(message)s")  # the progress, where there is no terminal
        calibration = opened.verifier.calibration.deciding(fmr, threshold)
        answers = compare_pairs(opened, pairs, out, calibration, load_machine().num_workers, explain)
        note = opened.note
    num_wrong = sum(bool(answer[-1]) for answer in answers)
    num_matches = sum(bool(answer[4]) for answer in answers)
    typer.echo(f"{out}: {len(answers):,} pairs, {num_matches:,} matches, {num_wrong:,} without an answer")
    if explain is not None:
        typer.echo(f"{explain}: {len(answers) - num_wrong:,} pages")
    typer.echo(calibration.basis)
    if note:
        typer.echo(note)
    if fail_on_error and num_wrong:
        first = next(answer for answer in answers if answer[-1])
        got = f"{num_wrong} of {len(answers)}; the first is {first[0]}: {first[-1]}"
        raise DataError("Pairs have no answer.", got=got, where="--fail-on-error")


def embed(
    folder: Annotated[Path, typer.Argument(help="A folder of photographs, or of one folder a person.")],
    out: Annotated[Path, typer.Option(help="The Parquet file: path, vector, error.")],
    model: ModelUri = None,
    tracking: TrackingUri = None,
) -> None:
    """Write the embedding of every photograph of a folder; a call that was stopped goes on where it was.

    Exit code 0: the table is there; photographs that cannot be used are rows of it that say why. 1: it is not; the message says
    why.
    """
    from pipeline_lib.delivery.bulk.embed import embed_folder
    from pipeline_lib.delivery.identify.model import open_asked

    if not folder.is_dir():
        raise DataError("There is no such folder.", got=folder)
    with open_asked(model, tracking) as opened:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        num, num_wrong = embed_folder(opened, folder, out, load_machine().num_workers)
    typer.echo(f"{out}: {num:,} embeddings, {num_wrong:,} photographs without one")
