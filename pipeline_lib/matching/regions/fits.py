"""The combinations of regions (RRFNet, Table II): which there are, their fits, and the file of all of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.core.files import read_json, write_json
from pipeline_lib.data.patches.grid import SIZES_PX, Region, parse_region
from pipeline_lib.matching.regions.bootstrap import Uncertainty, bootstrap_weights
from pipeline_lib.matching.regions.variants import TRAIN, SplitPairs, Variant, fit_variant
from pipeline_lib.matching.regions.weights import RegionWeights
from pipeline_lib.matching.regions.weights_json import in_order, weights_as_json, weights_from_json

BOTH_SIZES = "_".join(map(str, SIZES_PX))
PAPER = Variant(TRAIN, non_negative=False)
COMBINATIONS = (*map(str, SIZES_PX), BOTH_SIZES)


@dataclass(frozen=True)
class RegionFit:
    """One combination's weights, and how sure they are."""

    weights: RegionWeights
    uncertainty: Uncertainty


def combinations(positions: Sequence[str]) -> dict[str, list[str]]:
    """The combinations that positions allow, the widest last: 28, 56, 28_56.

    One size gives its own combination only. A combination keeps the order of `positions`.

    Raises:
        DataError: there are no positions, or one stands twice.
        ParamsError: a position has no such name.
    """
    if not positions or len(set(positions)) != len(positions):
        raise DataError("Regions are combined from unique positions.", got=list(positions), allowed="at least one")
    sizes = {name: parse_region(name).size_px for name in positions}
    single = {
        str(size): [name for name in positions if sizes[name] == size] for size in SIZES_PX if size in sizes.values()
    }
    return single if len(single) == 1 else {**single, BOTH_SIZES: list(positions)}


def is_combination(name: str) -> bool:
    """Whether a fit's name, or a column's (what follows its last colon), is that of a combination."""
    return name.rpartition(":")[2] in COMBINATIONS


def widest_combination(names: Iterable[str]) -> str | None:
    """The combination of the most sizes among names of fits or columns; None where none of them is a combination."""
    return max(filter(is_combination, names), key=lambda name: name.rpartition(":")[2].count("_"), default=None)


def reading_order(positions: Iterable[str]) -> list[Region]:
    """Positions as the paper's Table II lists them: by size, then row by row of the face."""
    return sorted(map(parse_region, positions), key=lambda region: (region.size_px, region.y, region.x))


def fit_combinations(
    positions: Sequence[str],
    pairs: SplitPairs,
    strengths: Sequence[float],
    num_bootstrap: int,
    rng: np.random.Generator,
    variant: Variant = PAPER,
) -> dict[str, RegionFit]:
    """Fit every combination (fit_variant) and bootstrap it (bootstrap_weights), each with draws of its own.

    Args:
        positions: K names.
        pairs: of variant.fit_on's split, with their S_local, (N, K).
        strengths, num_bootstrap, rng: see the two functions.
        variant: how they are fitted.

    Raises:
        DataError: see the two functions; names the combination.
    """
    values, labels = pairs.cosines, pairs.labels
    if values.ndim != 2 or values.shape[1] != len(positions):
        raise DataError("Cosines and positions differ in number.", got=values.shape, allowed=f"(N, {len(positions)})")
    chosen = combinations(positions)
    fits = {}
    for (name, members), own_rng in zip(chosen.items(), rng.spawn(len(chosen)), strict=True):
        columns = values[:, [positions.index(member) for member in members]]
        try:
            weights = fit_variant(variant, members, replace(pairs, cosines=columns), strengths)
            spread = bootstrap_weights(weights, columns, labels.genuine, labels.people, num_bootstrap, own_rng)
        except DataError as error:
            raise DataError(f"{error}", where=f"combination {name}") from error
        fits[name] = RegionFit(weights, spread)
    return fits


def fit_summary(
    positions: Sequence[str], pairs: SplitPairs, fits: Mapping[str, RegionFit]
) -> dict[str, dict[str, float]]:
    """{combination: figures} of fits to these pairs (as fit_combinations); no weights, of which there are too many to list.

    num_pairs, num_identities, num_redrawn; strength, held_out_log_loss; fitted_accuracy in [0, 1] on the pairs fitted on.
    """
    labels, num_identities = pairs.labels, len(np.unique(pairs.labels.people))
    summary = {}
    for name, fit in fits.items():
        weights = fit.weights
        scores = weights.score(pairs.cosines[:, [positions.index(member) for member in weights.positions]])
        summary[name] = {
            "num_pairs": len(labels.genuine),
            "num_identities": num_identities,
            "num_redrawn": fit.uncertainty.num_redrawn,
            "strength": weights.strength,
            "held_out_log_loss": weights.log_losses[weights.strength],
            "fitted_accuracy": float(np.mean((scores + weights.intercept > 0) == labels.genuine)),
        }
    return summary


def weight_figures(fits: Mapping[str, RegionFit]) -> dict[str, float]:
    """{"<combination>/weight.<position>": w, "<combination>/standard_error.<position>": its standard error}, flat."""
    figures: dict[str, float] = {}
    for name, fit in fits.items():
        for key, values in (("weight", fit.weights.weights), ("standard_error", fit.uncertainty.standard_errors)):
            pairs = zip(fit.weights.positions, values.tolist(), strict=True)
            figures |= {f"{name}/{key}.{position}": value for position, value in pairs}
    return figures


def write_region_fits(path: Path, fits: Mapping[str, RegionFit]) -> None:
    """Write the fits as JSON, by combination; weights, standard errors and intervals by position."""
    write_json(path, {name: _as_json(fit) for name, fit in fits.items()})


def read_region_fits(path: Path) -> dict[str, RegionFit]:
    """Read the fits of all combinations of the file's positions, in reading_order, the widest combination last.

    Raises:
        DataError: the file is missing or damaged, or its combinations are not those of its positions.
    """
    raw = read_json(path)
    rerun = "rerun the fit_region_weights stage."
    try:
        known = {name for fields in raw.values() for name in fields["weights"]}
        chosen = combinations([region.name for region in reading_order(known)]) if known else {}
        if not chosen or set(raw) != set(chosen):
            problem = f"The region weights are of other combinations; {rerun}"
            raise DataError(problem, got=sorted(raw), allowed=list(chosen), where=path)
        return {name: _from_json(raw[name], members) for name, members in chosen.items()}
    except (ParamsError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"The region weights are damaged; {rerun}", got=repr(error), where=path) from error


def _as_json(fit: RegionFit) -> dict[str, Any]:
    weights, spread = fit.weights, fit.uncertainty

    def by_position(values: npt.NDArray[np.float64]) -> dict[str, Any]:
        return dict(zip(weights.positions, values.tolist(), strict=True))

    return {
        **weights_as_json(weights),
        "standard_errors": by_position(spread.standard_errors),
        "intervals": by_position(spread.intervals),
        "num_bootstrap": spread.num_samples,
        "num_redrawn": spread.num_redrawn,
    }


def _from_json(raw: Mapping[str, Any], members: list[str]) -> RegionFit:
    errors = in_order(raw["standard_errors"], members)
    intervals = in_order(raw["intervals"], members, (2,))
    spread = Uncertainty(errors, intervals, int(raw["num_bootstrap"]), int(raw["num_redrawn"]))
    return RegionFit(weights_from_json(raw, members), spread)
