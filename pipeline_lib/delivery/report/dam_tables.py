"""DAM in figures: TAR and accuracy of the cosine and what is made of it, by protocol, by kind of anchors and by group."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.bootstrap import interval
from pipeline_lib.core.roc import Doubles
from pipeline_lib.delivery.claims.evidence import TAR, Evidence
from pipeline_lib.delivery.report.tables import NO_FIGURE, Table, protocols_of
from pipeline_lib.matching.verification.paired_bootstrap import TooFewIdentities, TooFewImpostors
from pipeline_lib.matching.verification.threshold import best_threshold


def figures_or_none(evidence: Evidence, protocol: str, column: str, measure: str) -> Doubles | None:
    """Evidence.figures; None where the protocol has too few people or impostor pairs for it."""
    try:
        return evidence.figures(protocol, column, measure)
    except (TooFewIdentities, TooFewImpostors):
        return None


def told_rates(evidence: Evidence, columns: Sequence[str]) -> list[float]:
    """The false accept rates that some protocol tells."""
    return [
        rate
        for rate in evidence.rates
        if any(figures_or_none(evidence, each, columns[0], tar(rate)) is not None for each in evidence.protocols)
    ]


def tar(rate: float) -> str:
    """The measure's name in Evidence."""
    return f"{TAR}{rate:g}"


def scores_table(
    evidence: Evidence, columns: Mapping[str, str], accuracies: Mapping[str, Mapping[str, float]] | None = None
) -> Table:
    """TAR at each FAR that is told, in per cent with its interval, by protocol and score; the best of a protocol is marked.

    Args:
        columns: label -> score column.
        accuracies: protocol -> column -> the k-fold accuracy; None for a table without.
    """
    rates = told_rates(evidence, list(columns.values()))
    rows: list[tuple[str, ...]] = []
    groups: list[bool] = []
    best: set[tuple[int, int]] = set()
    for protocol in protocols_of(evidence.protocols):
        values: list[list[float | None]] = []
        for number, (label, column) in enumerate(columns.items()):
            found = [figures_or_none(evidence, protocol, column, tar(rate)) for rate in rates]
            cells, row = [_tar_cell(each) for each in found], [None if each is None else each[0] for each in found]
            if accuracies is not None:
                accuracy = accuracies.get(protocol, {}).get(column)
                cells, row = [NO_FIGURE if accuracy is None else f"{100 * accuracy:.2f}", *cells], [accuracy, *row]
            rows.append((protocol, label, *cells))
            groups.append(number == 0)
            values.append(row)
        best |= {(len(rows) - len(values) + row, 2 + place) for row, place in _best(values)}
    head = ("protocol", "score", *(("accuracy",) if accuracies is not None else ()), *(f"TAR@FAR {r:g}" for r in rates))
    return Table(head, tuple(rows), tuple(groups), best=frozenset(best))


def group_table(scores: pa.Table, columns: Mapping[str, str]) -> Table | None:
    """Accuracy in per cent of each group of pairs, at the threshold that is best on all pairs of the protocol that have one; the
    mean over the groups last. None where no pair has a group, or none where a group's protocol holds one class only.

    Args:
        scores: pairs with their scores.
        columns: label -> score column.
    """
    grouped = scores.filter(pc.is_valid(scores["group"]))
    names = sorted(pc.unique(grouped["group"]).to_pylist())
    rows: list[tuple[str, ...]] = []
    starts: list[bool] = []
    best: set[tuple[int, int]] = set()
    for protocol in protocols_of(pc.unique(grouped["protocol"]).to_pylist()):
        part = grouped.filter(pc.equal(grouped["protocol"], protocol))
        genuine, groups = part["genuine"].to_numpy(), np.array(part["group"].to_pylist(), object)
        if genuine.all() or not genuine.any():
            continue
        values: list[list[float | None]] = []
        for number, (label, column) in enumerate(columns.items()):
            scored = part[column].to_numpy().astype(np.float64)
            right = (scored > best_threshold(scored, genuine)[0]) == genuine
            shares = [float(right[groups == name].mean()) if (groups == name).any() else None for name in names]
            shares.append(float(np.mean([share for share in shares if share is not None])))
            rows.append((protocol, label, *(NO_FIGURE if each is None else f"{100 * each:.2f}" for each in shares)))
            starts.append(number == 0)
            values.append(shares)
        best |= {(len(rows) - len(values) + row, 2 + place) for row, place in _best(values)}
    if not rows:
        return None
    return Table(("protocol", "score", *names, "mean"), tuple(rows), tuple(starts), best=frozenset(best))


def _tar_cell(figures: Doubles | None) -> str:
    if figures is None:
        return NO_FIGURE
    low, high = interval(figures[1:])
    return f"{100 * figures[0]:.2f} [{100 * low:.1f}, {100 * high:.1f}]"


def _best(values: Sequence[Sequence[float | None]]) -> set[tuple[int, int]]:
    """(row, column) of the highest of each column."""
    found = set()
    for column in range(len(values[0])):
        known = {number: value for number, row in enumerate(values) if (value := row[column]) is not None}
        found |= {(number, column) for number, value in known.items() if value == max(known.values())}
    return found
