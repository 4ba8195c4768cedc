"""A table of pairs to a table of answers."""

import csv
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import ESCAPED, output_file
from pipeline_lib.core.progress import track
from pipeline_lib.delivery.bulk.features import Features, embed_photographs
from pipeline_lib.delivery.bulk.pairs_file import PairRow, read_pairs_file
from pipeline_lib.delivery.identify.model import Opened
from pipeline_lib.delivery.verdict.page import as_page
from pipeline_lib.delivery.verdict.told import verdict_of
from pipeline_lib.delivery.verifier.answers import as_row
from pipeline_lib.matching.verification.calibration import Calibration

COLUMNS = ("id", "a", "b", "similarity", "match", "probability", "threshold", "error")
BLOCK = 4096  # pairs scored at a time
Answer = tuple[str, str, str, float | None, bool | None, float | None, float, str]


def compare_pairs(
    opened: Opened, pairs: Path, out: Path, calibration: Calibration, num_workers: int, pages: Path | None = None
) -> list[Answer]:
    """Answer every row of `pairs` in `out`, which is whole or absent.

    Features are kept beside it, in the folder `<out>.partial`, until it and its pages are there: a run that was stopped goes on
    from them.

    Args:
        opened: the verifier.
        pairs: see read_pairs_file.
        out: a CSV file with COLUMNS; a row that has no answer says why under error.
        calibration: that decides.
        num_workers: processes that detect.
        pages: a folder for <id>.html of every row that has an answer, the page of `verify --html`; those that are there stay.

    Raises:
        DataError: see read_pairs_file; an id makes no name of a page; `out` or a page cannot be written; the score compares
            pixels, which are not kept.
    """
    if opened.verifier.scorer.needs.pixels:
        raise DataError("A score of pixels is compared pair by pair.", got=opened.verifier.settings.score)
    rows = read_pairs_file(pairs)
    if pages and (bad := [row.id for row in rows if Path(row.id).name != row.id or row.id in (".", "..")]):
        raise DataError("An id makes no name of a page.", got=bad[:5], allowed="ids without /", where=pairs)
    scratch = out.with_name(f"{out.name}.partial")
    with output_file(out) as partial:
        partial.touch()  # that it can be written is found out before the work
        features = embed_photographs(
            [path for row in rows for path in (row.path_a, row.path_b)], opened, scratch, num_workers
        )
        answers = list(_answers(opened, rows, features, calibration))
        with partial.open("w", newline="", encoding="utf-8", errors=ESCAPED) as handle:
            writer = csv.writer(handle)
            writer.writerow(COLUMNS)
            writer.writerows([_text(value) for value in answer] for answer in answers)
    if pages is not None:
        pages.mkdir(parents=True, exist_ok=True)
        _explain([row for row, answer in zip(rows, answers, strict=True) if not answer[-1]], opened, calibration, pages)
    shutil.rmtree(scratch)
    return answers


def _explain(rows: Sequence[PairRow], opened: Opened, calibration: Calibration, folder: Path) -> None:
    for row in track(rows, "pages", len(rows)):
        page = folder / f"{row.id}.html"
        if page.exists():
            continue
        [answer] = opened.verifier.compare([(row.path_a, row.path_b)], explain=True, calibration=calibration)
        told = {**as_row(answer, explained=True), "note": opened.note}
        verdict = verdict_of(told, opened.name, row.path_a.name, row.path_b.name)
        with output_file(page) as partial:
            partial.write_text(as_page(verdict), encoding="utf-8", errors=ESCAPED)


def _answers(opened: Opened, rows: Sequence[PairRow], features: Features, calibration: Calibration) -> Iterator[Answer]:
    blocks = range(0, len(rows), BLOCK)
    for first in track(blocks, f"blocks of {BLOCK} pairs", len(blocks)):
        block = rows[first : first + BLOCK]
        keys = [(os.path.abspath(row.path_a), os.path.abspath(row.path_b)) for row in block]
        good = [pair for pair in keys if not features.problems.keys() & set(pair)]
        scores: Iterator[float] = iter(())
        if good and features.faces is not None:
            sides = np.array([[features.row_of[key] for key in pair] for pair in good], np.int64)
            a, b = (features.faces.take(sides[:, side]) for side in (0, 1))
            scores = iter(opened.verifier.scorer.score(a, b).tolist())
        for row, pair in zip(block, keys, strict=True):
            told = [
                f"{side}: {features.problems[key]}"
                for side, key in zip("ab", pair, strict=True)
                if key in features.problems
            ]
            if told:
                yield row.id, row.a, row.b, None, None, None, calibration.threshold, "; ".join(told)
                continue
            score = next(scores)
            match, probability = bool(calibration.matches(score)), float(calibration.probability(score))
            yield row.id, row.a, row.b, score, match, probability, calibration.threshold, ""


def _text(value: object) -> object:
    """As a table has it: nothing for None, true and false in small letters."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value
