"""Region weights as JSON values."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.matching.regions.held_out import HeldOut
from pipeline_lib.matching.regions.weights import RegionWeights


def weights_as_json(weights: RegionWeights) -> dict[str, Any]:
    """By position what is one value a region."""
    held_out = weights.held_out
    return {
        "weights": dict(zip(weights.positions, weights.weights.tolist(), strict=True)),
        "intercept": weights.intercept,
        "strength": weights.strength,
        "log_losses": {f"{strength:g}": loss for strength, loss in weights.log_losses.items()},
        "non_negative": weights.non_negative,
        "held_out": held_out
        and {
            "fold_of": dict(held_out.fold_of),
            "weights": {
                name: dict(zip(weights.positions, values.tolist(), strict=True))
                for name, values in held_out.weights.items()
            },
            "shifts": dict(held_out.shifts),
        },
    }


def weights_from_json(raw: Mapping[str, Any], members: Sequence[str]) -> RegionWeights:
    """What weights_as_json was of, positions in the order of `members`; raises KeyError, TypeError or ValueError if it is not."""
    held_out = raw["held_out"] and HeldOut(
        {str(name): int(fold) for name, fold in raw["held_out"]["fold_of"].items()},
        {name: in_order(values, members) for name, values in raw["held_out"]["weights"].items()},
        {name: float(value) for name, value in raw["held_out"]["shifts"].items()},
    )
    losses = {float(strength): float(loss) for strength, loss in raw["log_losses"].items()}
    return RegionWeights(
        list(members),
        in_order(raw["weights"], members),
        float(raw["intercept"]),
        float(raw["strength"]),
        losses,
        bool(raw["non_negative"]),
        held_out,
    )


def in_order(
    by_position: Mapping[str, Any], members: Sequence[str], shape: tuple[int, ...] = ()
) -> npt.NDArray[np.float64]:
    """Values by position as float64 (K, *shape); raises ValueError where positions or shape are others, or one is not finite."""
    values = np.array([by_position[name] for name in members], np.float64)
    if values.shape != (len(members), *shape) or len(by_position) != len(members) or not np.isfinite(values).all():
        raise ValueError(f"values of {sorted(by_position)}")
    return values
