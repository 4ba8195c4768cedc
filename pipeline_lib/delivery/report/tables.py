"""The headline figures as rows of text, for the page and for the terminal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.regions.fits import COMBINATION_PREFIX, widest_combination

SCORE_ORDER = ("raw_pixel", "cosine:", "cosine_centred:", COMBINATION_PREFIX, "dam_r", "dam_l")
NO_FIGURE = "–"


@dataclass(frozen=True)
class Table:
    """Columns and rows of text; `groups[i]` is True where row i begins a new group."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    groups: tuple[bool, ...]


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
    for protocol, scores in sorted(metrics.items(), key=lambda item: (item[0] == "val", item[0])):
        for number, score in enumerate(sorted(headline_scores(scores), key=_score_rank)):
            rows.append(_headline_row(protocol, score, scores[score], rates))
            groups.append(number == 0)
    return Table(columns, tuple(rows), tuple(groups))


def headline_scores(names: Iterable[str]) -> list[str]:
    """The names without those of combinations of regions narrower than the widest one there is."""
    listed = list(names)
    widest = widest_combination(listed)
    return [name for name in listed if name == widest or not name.startswith(COMBINATION_PREFIX)]


def reranking_table(metrics: Mapping[str, Mapping[str, Any]]) -> Table:
    """P@1, RP and MAP@R of occluded queries, before → after re-ranking, from data/rerank/metrics.json; "all" last.

    Raises:
        DataError: a kind lacks a figure.
    """
    rows, groups = [], []
    for kind in sorted(metrics, key=lambda kind: (kind == "all", kind)):
        row = metrics[kind]
        try:
            stages = [row[stage] for stage in ("cosine", "emd_reranked")]
            cells = [" → ".join(f"{100 * stage[key]:.2f}" for stage in stages) for key in ("p_at_1", "rp", "map_at_r")]
            rows.append((kind, *(f"{cell} %" for cell in cells), str(row["num_queries"]), str(row["num_left_out"])))
        except (KeyError, TypeError) as error:
            raise DataError("Re-ranking metrics lack a figure.", got=f"{kind} without {error}") from error
        groups.append(kind == "all")
    return Table(("queries", "P@1", "RP", "MAP@R", "number", "left out"), tuple(rows), tuple(groups))


def as_text(table: Table) -> str:
    """Aligned columns; figures (all but the first two columns) to the right."""
    lines = [table.columns, *table.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.columns))]
    shown = []
    for line in lines:
        cells = [
            cell.ljust(width) if column < 2 else cell.rjust(width)
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
