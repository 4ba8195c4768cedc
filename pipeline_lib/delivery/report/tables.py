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
        better, worse: cells of a change whose interval leaves 0 out, for the better or the worse.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    groups: tuple[bool, ...]
    num_words: int = 2
    best: frozenset[tuple[int, int]] = frozenset()
    better: frozenset[tuple[int, int]] = frozenset()
    worse: frozenset[tuple[int, int]] = frozenset()


def sign_of(change: Mapping[str, Any]) -> int:
    """Which side of 0 the whole 95 % interval of a change {low, high} lies on: 1 above, -1 below; 0 neither, or there is none."""
    if change["low"] is None:
        return 0
    return int(change["low"] > 0) - int(change["high"] < 0)


def marked(signs: Mapping[tuple[int, int], int]) -> dict[str, frozenset[tuple[int, int]]]:
    """A table's `better` and `worse` from the signs of its cells' changes, of which more is better."""
    return {
        name: frozenset(place for place, sign in signs.items() if sign == wanted)
        for name, wanted in (("better", 1), ("worse", -1))
    }


def headline_table(
    metrics: Mapping[str, Mapping[str, Mapping[str, Any]]], words: Mapping[str, str] | None = None
) -> Table:
    """Verification figures, one row a protocol and score, from the content of data/verify/metrics.json.

    Args:
        metrics: by protocol and score.
        words: for the page, each score in words. A score's own name is then a second line of its cell, as is the interval of
            a figure that has one, and the largest AUC of a protocol is marked. None: neither, for a terminal.

    TAR columns appear for every FAR that some row has; a row whose impostors cannot resolve one shows a dash. Of the
    combinations of regions the widest is shown; region_table has them all.

    Raises:
        DataError: a row lacks one of the figures every row has.
    """
    rates = sorted(
        {key for scores in metrics.values() for row in scores.values() for key in row if _is_rate(key)},
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
    rows: list[tuple[str, ...]] = []
    groups: list[bool] = []
    best: set[tuple[int, int]] = set()
    for protocol in protocols_of(metrics):
        scores = metrics[protocol]
        listed = sorted(headline_scores(scores), key=_score_rank)
        if words is not None and listed:
            highest = max(float(scores[score].get("auc", 0.0)) for score in listed)
            best |= {
                (len(rows) + number, columns.index("AUC"))
                for number, score in enumerate(listed)
                if scores[score].get("auc") == highest
            }
        for number, score in enumerate(listed):
            rows.append(_headline_row(protocol, score, scores[score], rates, words))
            groups.append(number == 0)
    return Table(columns, tuple(rows), tuple(groups), best=frozenset(best))


def calibration_table(metrics: Mapping[str, Mapping[str, Mapping[str, Any]]], words: Mapping[str, str]) -> Table | None:
    """How well each calibration holds where it was not fitted, one row a protocol and score; None where there is none.

    `words`: see headline_table.
    """
    kinds = ("logistic", "isotonic")
    columns = (
        "protocol",
        "score",
        "min Cllr",
        *(f"Cllr, {kind}" for kind in kinds),
        *(f"error, {kind}" for kind in kinds),
    )
    rows, groups = [], []
    for protocol in protocols_of(metrics):
        scores = {name: row for name, row in metrics[protocol].items() if all(f"cllr_{kind}" in row for kind in kinds)}
        for number, score in enumerate(sorted(headline_scores(scores), key=_score_rank)):
            row = scores[score]
            costs = (f"{row[name]:.3f}" for name in ("min_cllr", *(f"cllr_{kind}" for kind in kinds)))
            rows.append(
                (protocol, named(score, words), *costs, *(_error(row, f"calibration_error_{kind}") for kind in kinds))
            )
            groups.append(number == 0)
    return Table(columns, tuple(rows), tuple(groups)) if rows else None


def _is_rate(key: str) -> bool:
    return key.startswith("tar@") and not key.endswith(("_low", "_high"))


def _error(row: Mapping[str, Any], name: str) -> str:
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    return f"{100 * row[name]:.1f} %" + (
        "" if low is None or high is None else f"\n{100 * low:.1f} to {100 * high:.1f}"
    )


def headline_scores(names: Iterable[str]) -> list[str]:
    """The names without those of combinations of regions narrower than the widest one of the same entry."""
    listed = list(names)
    by_entry: dict[str, list[str]] = {}
    for name in filter(is_combination, listed):
        by_entry.setdefault(name.partition(":")[0], []).append(name)
    widest = {widest_combination(combined) for combined in by_entry.values()}
    return [name for name in listed if name in widest or not is_combination(name)]


def registered_score(registered: Mapping[str, Any] | None) -> str | None:
    """The registered model's column, from data/register/registered.json; None where nothing is registered."""
    if registered is None or registered["version"] is None:
        return None
    return str(registered["metric"]["score"])


def shown_score(
    metrics: Mapping[str, Mapping[str, Mapping[str, Any]]], registered: Mapping[str, Any] | None
) -> str | None:
    """The registered score, else the one with the largest AUC on the validation pairs; None where there are no scores."""
    if (score := registered_score(registered)) is not None:
        return score
    judged = metrics.get(VALIDATION) or next(iter(metrics.values()), {})
    return max(judged, key=lambda name: float(judged[name]["auc"]), default=None)


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


def _headline_row(
    protocol: str, score: str, row: Mapping[str, Any], rates: Sequence[str], words: Mapping[str, str] | None
) -> tuple[str, ...]:
    def cell(name: str, shown: str, percent: bool) -> str:
        if words is None or f"{name}_low" not in row:
            return shown
        ends = (row[f"{name}_low"], row[f"{name}_high"])
        return shown + "\n" + " to ".join(f"{100 * end:.1f}" if percent else f"{end:.3f}" for end in ends)

    try:
        accuracy = f"{100 * row['accuracy_mean']:.2f} ± {100 * row['accuracy_std']:.2f} %"
        pairs = f"{int(row['num_genuine'])} + {int(row['num_impostor'])}"
        area, equal_error = f"{row['auc']:.4f}", f"{100 * row['eer']:.2f} %"
    except KeyError as error:
        raise DataError("Verification metrics lack a figure.", got=f"{protocol} / {score} without {error}") from error
    tars = (NO_FIGURE if row.get(key) is None else cell(key, f"{100 * row[key]:.2f} %", percent=True) for key in rates)
    if words is not None and "num_identities" in row:
        pairs += f"\n{int(row['num_identities'])} people"
    return (
        protocol,
        named(score, words) + " (constant: tells nothing)" * bool(row.get("constant_scores")),
        cell("accuracy_mean", accuracy, percent=True),
        cell("auc", area, percent=False),
        cell("eer", equal_error, percent=True),
        *tars,
        pairs,
    )


def named(score: str, words: Mapping[str, str] | None) -> str:
    """A score's cell: as it is called on a terminal; on the page in words, with that below where it is another text."""
    said = score if words is None else words.get(score, score)
    return said if said == score else f"{said}\n{score}"


def _score_rank(score: str) -> tuple[int, str]:
    for rank, prefix in enumerate(SCORE_ORDER):
        if score.startswith(prefix):
            return rank, score
    return len(SCORE_ORDER), score
