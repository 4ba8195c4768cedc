"""RRFNet's Table II as rows of text: each region alone, their combinations, the whole face."""

from collections.abc import Mapping, Sequence

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.data.patches.grid import parse_region
from pipeline_lib.delivery.report.areas import describe_patch
from pipeline_lib.delivery.report.tables import NO_FIGURE, Table, protocols_of
from pipeline_lib.matching.regions.fits import RegionFit
from pipeline_lib.matching.verification.region_table import COMBINATION, POSITION

NUM_BEST = {28: 3, 56: 1}  # as the paper sets in bold
NUM_WORDS = 3


def regions_table(rows: Sequence[Mapping[str, str]], fits: Mapping[str, RegionFit]) -> Table:
    """Accuracies in the order of the rows, a column a protocol (val last), then each region's weight, a column a fit.

    Marked are the best 56 px region and the best three of 28 px on each protocol, and what equals them.

    Args:
        rows: of data/verify/regions.csv.
        fits: name -> fit of the widest combination of the same positions; may be empty.

    Raises:
        DataError: a row lacks a field or holds no number; a score lacks a protocol; a fit lacks a position.
    """
    figures: dict[str, dict[str, tuple[float, float]]] = {}
    kinds: dict[str, str] = {}
    try:
        for row in rows:
            accuracy = float(row["accuracy_mean"]), float(row["accuracy_std"])
            figures.setdefault(row["score"], {})[row["protocol"]] = accuracy
            kinds[row["score"]] = row["kind"]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError("The table of regions is damaged; rerun the verify stage.", got=repr(error)) from error
    protocols = protocols_of({row["protocol"] for row in rows})
    shown, groups, previous = [], [], ""
    for score, by_protocol in figures.items():
        size, *words = _words(score, kinds[score])
        if set(by_protocol) != set(protocols):
            raise DataError(
                "A region's figures lack a protocol.", got=f"{score}: {sorted(by_protocol)}", allowed=protocols
            )
        cells = [f"{100 * by_protocol[name][0]:.2f} ± {100 * by_protocol[name][1]:.2f}" for name in protocols]
        shown.append((size, *words, *cells, *(_weight(score, kinds[score], fit) for fit in fits.values())))
        # One group a size of regions, one for all that use the whole face or several regions.
        group = size if kinds[score] == POSITION else COMBINATION
        groups.append(group != previous)
        previous = group
    of_fits = (f"weight, {name}" for name in fits)
    columns = ("size, px", "(x, y)", "shows", *(f"{name}, %" for name in protocols), *of_fits)
    best = _best(figures, kinds, protocols)
    return Table(columns, tuple(shown), tuple(groups), NUM_WORDS, best)


def _words(score: str, kind: str) -> tuple[str, str, str]:
    part = score.rpartition(":")[2]
    if kind == POSITION:
        region = parse_region(part)
        # The mirrored region shares the network and the score, so the words must not name a side.
        words = describe_patch(region.x, region.y, region.size_px, region.size_px).replace("left ", "")
        return str(region.size_px), f"({region.x}, {region.y})", words
    if kind == COMBINATION:
        return " and ".join(part.split("_")), NO_FIGURE, f"combined: {score}"
    return str(FACE_PX), NO_FIGURE, f"whole face: {part}"


def _weight(score: str, kind: str, fit: RegionFit) -> str:
    if kind != POSITION:
        return NO_FIGURE
    position, positions = score.rpartition(":")[2], fit.weights.positions
    if position not in positions:
        problem = "A region has no weight; rerun fit_region_weights and verify."
        raise DataError(problem, got=position, allowed=positions)
    row = positions.index(position)
    return f"{fit.weights.weights[row]:+.2f} ± {fit.uncertainty.standard_errors[row]:.2f}"


def _best(
    figures: Mapping[str, Mapping[str, tuple[float, float]]], kinds: Mapping[str, str], protocols: Sequence[str]
) -> frozenset[tuple[int, int]]:
    found = set()
    for size, num_best in NUM_BEST.items():
        start = f"p{size}_"
        rows = [
            row
            for row, score in enumerate(figures)
            if kinds[score] == POSITION and score.rpartition(":")[2].startswith(start)
        ]
        for column, protocol in enumerate(protocols, start=NUM_WORDS):
            accuracy = {
                row: by_protocol[protocol][0] for row, by_protocol in enumerate(figures.values()) if row in rows
            }
            if len(rows) > num_best:
                bound = sorted(accuracy.values())[-num_best]
                found |= {(row, column) for row in rows if accuracy[row] >= bound}
    return frozenset(found)
