"""face-verifier study: make a study's forms, score its answers."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import clear_output, write_json

study = typer.Typer(no_args_is_help=True, help="Ask people: printable forms for several explanations, and their score.")


@study.command()
def make(
    explanations: Annotated[list[str], typer.Argument(help="Entries of `explanations` in params.yaml to compare.")],
    out: Annotated[Path, typer.Option(help="A new folder for forms/, answers/ and key.json.")],
    data: Annotated[Path, typer.Option(help="The rebuild's data folder.")] = Path("data"),
    pairs: Annotated[int, typer.Option(min=1, help="Pairs a method on each form.")] = 15,
    seed: Annotated[int, typer.Option(min=0, help="Of all draws; the same seed and data give the same files.")] = 0,
    confidence: Annotated[bool, typer.Option("--confidence", help="Also ask how sure an answer is.")] = False,
) -> None:
    """Write the forms of a study that compares EXPLANATIONS with each other and with faces alone.

    Print one form a participant, as many of each form; docs/study.md says how. key.json stays with you.
    """
    from pipeline_lib.why.study.make import make_study, unbalanced

    key = make_study(data, explanations, pairs, seed, confidence, out)
    typer.echo(f"Study {key.study}: {len(key.forms)} forms of {len(key.questions)} pairs in {out / 'forms'}")
    typer.echo(f"Answer sheets: {out / 'answers'}\nKey, not for participants: {out / 'key.json'}")
    if key.num_unexplained:
        typer.echo(f"Pairs that could not be explained, and were replaced: {key.num_unexplained}")
    for line in unbalanced(key):
        typer.echo(f"Not balanced: {line}")


@study.command()
def score(
    key: Annotated[Path, typer.Argument(help="key.json of the study.")],
    answers: Annotated[list[Path], typer.Argument(help="Filled answer sheets.")],
    out: Annotated[Path | None, typer.Option(help="Also write the figures as JSON.")] = None,
) -> None:
    """Score filled answer sheets: accuracy by method with 95 % intervals, differences, what was accepted and rejected."""
    from pipeline_lib.why.study.answers import read_answers
    from pipeline_lib.why.study.key import read_key
    from pipeline_lib.why.study.scoring import score_answers
    from pipeline_lib.why.study.words import as_text

    if out is not None:
        if out.resolve() in [path.resolve() for path in (key, *answers)]:
            raise DataError(
                "The scores would replace what they are made from.", got=out, allowed="another file", where="--out"
            )
        clear_output(out)
    opened = read_key(key)
    scores = score_answers(read_answers(answers, opened), opened)
    typer.echo(as_text(scores))
    if out is not None:
        write_json(out, scores)
        typer.echo(f"\nScores: {out}")
