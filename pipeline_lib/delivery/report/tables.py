"""The headline figures as rows of text, for the page and for the terminal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.matching.regions.fits import is_combination, widest_combination

# The order of scores with the usual names; others come after them, by name.
SCORE_ORDER = ("raw_pixel", "cosine:", "cosine_centred:", "regions:", "dam:")
NO_FIGURE = "–"


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        groups: where row i begins a new group.
        num_words: the first columns, which hold words; the others hold figures and stand to the right.
        best: (row, column) of the cells to mark.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    groups: tuple[bool, ...]
    num_words: int = 2
    best: frozenset[tuple[int, int]] = frozenset()


def headline_table(metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Table:
    """Verification figures, one row a protocol and score, from the content of data/verify/metrics.json.

    TAR columns appear for every FAR that some row has; a row whose impostors cannot resolve one shows a dash. Of the
    combinations of regions the widest is shown; region_table has them all.

    Raises:
        DataError: a row lacks one of the figures every row has.
    """
    rates = sorted(
        {key for scores in metrics.values() for row in scores.values() for key in row if key.startswith("tar@")},
        key=lambda key: -float(key.removeprefix("tar@")),
    )
    columns = (
        "protocol",
        "score",
        "accuracy",
        "AUC",
        "EER",
        *(f"TAR@FAR {key.removeprefix('tar@')}" for key in rates),
        "pairs",
    )
    rows, groups = [], []
    for protocol in protocols_of(metrics):
        scores = metrics[protocol]
        for number, score in enumerate(sorted(headline_scores(scores), key=_score_rank)):
            rows.append(_headline_row(protocol, score, scores[score], rates))
            groups.append(number == 0)
    return Table(columns, tuple(rows), tuple(groups))


def headline_scores(names: Iterable[str]) -> list[str]:
    """The names without those of combinations of regions narrower than the widest one of the same entry."""
    listed = list(names)
    by_entry: dict[str, list[str]] = {}
    for name in filter(is_combination, listed):
        by_entry.setdefault(name.partition(":")[0], []).append(name)
    widest = {widest_combination(combined) for combined in by_entry.values()}
    return [name for name in listed if name in widest or not is_combination(name)]


def protocols_of(names: Iterable[str]) -> list[str]:
    """Protocols in the order of all tables: by name, the validation pairs last."""
    return sorted(names, key=lambda name: (name == VALIDATION, name))


def as_text(table: Table) -> str:
    """Aligned columns; figures to the right."""
    lines = [table.columns, *table.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.columns))]
    shown = []
    for line in lines:
        cells = [
            cell.ljust(width) if column < table.num_words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        shown.append("  ".join(cells).rstrip())
    return "\n".join([shown[0], "-" * max(len(line) for line in shown), *shown[1:]])


def _headline_row(protocol: str, score: str, row: Mapping[str, Any], rates: Sequence[str]) -> tuple[str, ...]:
    try:
        accuracy = f"{100 * row['accuracy_mean']:.2f} ± {100 * row['accuracy_std']:.2f} %"
        pairs = f"{int(row['num_genuine'])} + {int(row['num_impostor'])}"
        area, equal_error = f"{row['auc']:.4f}", f"{100 * row['eer']:.2f} %"
    except KeyError as error:
        raise DataError("Verification metrics lack a figure.", got=f"{protocol} / {score} without {error}") from error
    tars = (NO_FIGURE if row.get(key) is None else f"{100 * row[key]:.2f} %" for key in rates)
    return (protocol, score, accuracy, area, equal_error, *tars, pairs)


def _score_rank(score: str) -> tuple[int, str]:
    for rank, prefix in enumerate(SCORE_ORDER):
        if score.startswith(prefix):
            return rank, score
    return len(SCORE_ORDER), score
