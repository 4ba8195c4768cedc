"""RRFNet's Table II as rows of text: each region alone, their combinations, the whole face."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.data.patches.grid import parse_region
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.delivery.report.areas import describe_patch
from pipeline_lib.delivery.report.tables import NO_FIGURE
from pipeline_lib.matching.regions.fits import COMBINATION_PREFIX, RegionFit, widest_combination
from pipeline_lib.matching.verification.protocols import POSITION_PREFIX
from pipeline_lib.matching.verification.region_table import COMBINATION, POSITION

NUM_BEST = {28: 3, 56: 1}  # as the paper sets in bold


@dataclass(frozen=True)
class RegionTable:
    """Columns and rows of text; `groups` holds the rows that begin a group, `best` the (row, column) of best figures."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    groups: frozenset[int]
    best: frozenset[tuple[int, int]]


def regions_table(rows: Sequence[Mapping[str, str]], fits: Mapping[str, RegionFit]) -> RegionTable:
    """Accuracies in the order of the rows, a column a protocol (val last), and each region's weight in the widest combination.

    Marked are the best 56 px region and the best three of 28 px on each protocol, and what equals them.

    Args:
        rows: of data/verify/regions.csv.
        fits: combination -> fit, of the same positions.

    Raises:
        DataError: a row lacks a field or holds no number; a score lacks a protocol; the widest fit lacks a position.
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
    protocols = sorted({row["protocol"] for row in rows}, key=lambda name: (name == VALIDATION, name))
    widest = widest_combination(fits)
    weights = _weights(fits[widest]) if widest else {}
    shown, groups, previous = [], set(), ""
    for number, (score, by_protocol) in enumerate(figures.items()):
        size, *words = _words(score, kinds[score])
        if set(by_protocol) != set(protocols):
            raise DataError(
                "A region's figures lack a protocol.", got=f"{score}: {sorted(by_protocol)}", allowed=protocols
            )
        cells = [f"{100 * by_protocol[name][0]:.2f} ± {100 * by_protocol[name][1]:.2f}" for name in protocols]
        shown.append((size, *words, *cells, _weight(score, kinds[score], weights)))
        # One group a size of regions, one for all that use the whole face or several regions.
        group = size if kinds[score] == POSITION else COMBINATION
        groups |= {number} if group != previous else set()
        previous = group
    columns = ("size, px", "(x, y)", "shows", *(f"{name}, %" for name in protocols), f"weight in {widest}")
    return RegionTable(columns, tuple(shown), frozenset(groups), _best(figures, kinds, protocols))


def _words(score: str, kind: str) -> tuple[str, str, str]:
    if kind == POSITION:
        region = parse_region(score.removeprefix(POSITION_PREFIX))
        # The mirrored region shares the network and the score, so the words must not name a side.
        words = describe_patch(region.x, region.y, region.size_px, region.size_px).replace("left ", "")
        return str(region.size_px), f"({region.x}, {region.y})", words
    if kind == COMBINATION:
        return " and ".join(score.removeprefix(COMBINATION_PREFIX).split("_")), NO_FIGURE, f"combined: {score}"
    return str(FACE_PX), NO_FIGURE, f"whole face: {score.partition(':')[2]}"


def _weights(fit: RegionFit) -> dict[str, str]:
    columns = zip(
        fit.weights.positions, fit.weights.weights.tolist(), fit.uncertainty.standard_errors.tolist(), strict=True
    )
    return {name: f"{weight:+.2f} ± {error:.2f}" for name, weight, error in columns}


def _weight(score: str, kind: str, weights: Mapping[str, str]) -> str:
    if kind != POSITION:
        return NO_FIGURE
    position = score.removeprefix(POSITION_PREFIX)
    if position not in weights:
        raise DataError(
            "A region has no weight; rerun fit_region_weights and verify.", got=position, allowed=list(weights)
        )
    return weights[position]


def _best(
    figures: Mapping[str, Mapping[str, tuple[float, float]]], kinds: Mapping[str, str], protocols: Sequence[str]
) -> frozenset[tuple[int, int]]:
    found = set()
    for size, num_best in NUM_BEST.items():
        prefix = f"{POSITION_PREFIX}p{size}_"
        rows = [row for row, score in enumerate(figures) if kinds[score] == POSITION and score.startswith(prefix)]
        for column, protocol in enumerate(protocols, start=3):
            accuracy = {
                row: by_protocol[protocol][0] for row, by_protocol in enumerate(figures.values()) if row in rows
            }
            if len(rows) > num_best:
                bound = sorted(accuracy.values())[-num_best]
                found |= {(row, column) for row in rows if accuracy[row] >= bound}
    return frozenset(found)
