"""The combinations of regions (RRFNet, Table II): which there are, their fits, and the file of all of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json, write_json
from pipeline_lib.data.patches.grid import SIZES_PX, Region, parse_region
from pipeline_lib.data.sources.shared.training_pairs import TrainingPairs
from pipeline_lib.matching.regions.bootstrap import Uncertainty, bootstrap_weights
from pipeline_lib.matching.regions.weights import RegionWeights, fit_region_weights

COMBINATION_PREFIX = "regions_"


@dataclass(frozen=True)
class RegionFit:
    """One combination's weights, and how sure they are."""

    weights: RegionWeights
    uncertainty: Uncertainty


def combinations(positions: Sequence[str]) -> dict[str, list[str]]:
    """The combinations that positions allow, the widest last: regions_28, regions_56, regions_28_56.

    One size gives its own combination only. A combination keeps the order of `positions`.

    Raises:
        DataError: there are no positions, or one stands twice.
        ParamsError: a position has no such name.
    """
    if not positions or len(set(positions)) != len(positions):
        raise DataError("Regions are combined from unique positions.", got=list(positions), allowed="at least one")
    sizes = {name: parse_region(name).size_px for name in positions}
    single = {
        f"{COMBINATION_PREFIX}{size}": [name for name in positions if sizes[name] == size]
        for size in SIZES_PX
        if size in sizes.values()
    }
    if len(single) == 1:
        return single
    return {**single, COMBINATION_PREFIX + "_".join(map(str, SIZES_PX)): list(positions)}


def widest_combination(names: Iterable[str]) -> str | None:
    """The combination of the most sizes among names of scores; None where none of them is a combination."""
    found = [name for name in names if name.startswith(COMBINATION_PREFIX)]
    return max(found, key=lambda name: name.count("_"), default=None)


def reading_order(positions: Iterable[str]) -> list[Region]:
    """Positions as the paper's Table II lists them: by size, then row by row of the face."""
    return sorted(map(parse_region, positions), key=lambda region: (region.size_px, region.y, region.x))


def fit_combinations(
    positions: Sequence[str],
    cosines: npt.ArrayLike,
    pairs: TrainingPairs,
    strengths: Sequence[float],
    num_bootstrap: int,
    rng: np.random.Generator,
) -> dict[str, RegionFit]:
    """Fit every combination (fit_region_weights) and bootstrap it (bootstrap_weights), each with draws of its own.

    Args:
        positions: K names.
        cosines: (N, K), S_local of the pairs.
        pairs: N of them.
        strengths, num_bootstrap, rng: see the two functions.

    Raises:
        DataError: see the two functions; names the combination.
    """
    values = np.asarray(cosines, np.float64)
    if values.ndim != 2 or values.shape[1] != len(positions):
        raise DataError("Cosines and positions differ in number.", got=values.shape, allowed=f"(N, {len(positions)})")
    chosen = combinations(positions)
    fits = {}
    for (name, members), own_rng in zip(chosen.items(), rng.spawn(len(chosen)), strict=True):
        columns = values[:, [positions.index(member) for member in members]]
        try:
            weights = fit_region_weights(members, columns, pairs.genuine, pairs.folds, strengths)
            spread = bootstrap_weights(weights, columns, pairs.genuine, pairs.people, num_bootstrap, own_rng)
        except DataError as error:
            raise DataError(f"{error}", where=f"combination {name}") from error
        fits[name] = RegionFit(weights, spread)
    return fits


def fit_summary(
    positions: Sequence[str], cosines: npt.ArrayLike, pairs: TrainingPairs, fits: Mapping[str, RegionFit]
) -> dict[str, dict[str, float]]:
    """{combination: figures} of fits to these pairs (as fit_combinations); no weights, of which there are too many to list.

    num_pairs, num_identities, num_redrawn; strength, held_out_log_loss; training_accuracy in [0, 1].
    """
    values, num_identities = np.asarray(cosines, np.float64), len(np.unique(pairs.people))
    summary = {}
    for name, fit in fits.items():
        weights = fit.weights
        scores = weights.score(values[:, [positions.index(member) for member in weights.positions]])
        summary[name] = {
            "num_pairs": len(pairs.genuine),
            "num_identities": num_identities,
            "num_redrawn": fit.uncertainty.num_redrawn,
            "strength": weights.strength,
            "held_out_log_loss": weights.log_losses[weights.strength],
            "training_accuracy": float(np.mean((scores + weights.intercept > 0) == pairs.genuine)),
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


def read_region_fits(path: Path, positions: Sequence[str]) -> dict[str, RegionFit]:
    """Read the fits of the combinations that `positions` allow, in the order of `positions`, the widest last.

    Raises:
        DataError: the file is missing or damaged, lacks a combination, or a combination's positions are not these.
    """
    raw = read_json(path)
    rerun = "rerun the fit_region_weights stage."
    try:
        known = {name for fields in raw.values() for name in fields["weights"]}
        if known and known != set(positions):
            problem = f"The region weights are for other positions; {rerun}"
            raise DataError(problem, got=sorted(known), allowed=sorted(positions), where=path)
        chosen = combinations(positions)
        if set(raw) != set(chosen):
            problem = f"The region weights are of other combinations; {rerun}"
            raise DataError(problem, got=sorted(raw), allowed=list(chosen), where=path)
        return {name: _from_json(raw[name], members) for name, members in chosen.items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"The region weights are damaged; {rerun}", got=repr(error), where=path) from error


def _as_json(fit: RegionFit) -> dict[str, Any]:
    weights, spread = fit.weights, fit.uncertainty

    def by_position(values: npt.NDArray[np.float64]) -> dict[str, Any]:
        return dict(zip(weights.positions, values.tolist(), strict=True))

    return {
        "weights": by_position(weights.weights),
        "standard_errors": by_position(spread.standard_errors),
        "intervals": by_position(spread.intervals),
        "intercept": weights.intercept,
        "strength": weights.strength,
        "log_losses": {f"{strength:g}": loss for strength, loss in weights.log_losses.items()},
        "num_bootstrap": spread.num_samples,
        "num_redrawn": spread.num_redrawn,
    }


def _from_json(raw: Mapping[str, Any], members: list[str]) -> RegionFit:
    columns = {}
    for key, shape in (
        ("weights", (len(members),)),
        ("standard_errors", (len(members),)),
        ("intervals", (len(members), 2)),
    ):
        values = np.array([raw[key][name] for name in members], np.float64)
        if values.shape != shape or len(raw[key]) != len(members) or not np.isfinite(values).all():
            raise ValueError(f"{key} of {sorted(raw[key])}")
        columns[key] = values
    losses = {float(strength): float(loss) for strength, loss in raw["log_losses"].items()}
    weights = RegionWeights(members, columns["weights"], float(raw["intercept"]), float(raw["strength"]), losses)
    num_samples, num_redrawn = int(raw["num_bootstrap"]), int(raw["num_redrawn"])
    return RegionFit(weights, Uncertainty(columns["standard_errors"], columns["intervals"], num_samples, num_redrawn))
