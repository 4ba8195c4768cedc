"""Region weights without the people that they score: what the pairs they were fitted on are judged by."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations as subsets

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.roc import Bools, Doubles
from pipeline_lib.matching.regions.logistic import fit_logistic


@dataclass(frozen=True)
class HeldOut:
    """Fits that leave one or two folds of people out.

    Attributes:
        fold_of: the fold of each person that the weights were fitted on.
        weights: by the folds left out, "3" or "1,3": float64 (K,).
        shifts: likewise: what brings such a fit's scores to the log odds of the fit to all pairs (a difference of intercepts).
    """

    fold_of: Mapping[str, int]
    weights: Mapping[str, Doubles]
    shifts: Mapping[str, float]

    def score(self, cosines: Doubles, people: Sequence[tuple[str, str]], weights: Doubles) -> Doubles:
        """S_global, float64 (N,), of cosines (N, K): of a pair with people of `fold_of` by the fit that saw neither's fold, of
        any other by `weights`."""
        scores = cosines @ weights
        names = [left_out(self.fold_of[name] for name in both if name in self.fold_of) for both in people]
        for name in {name for name in names if name}:
            rows = np.flatnonzero([other == name for other in names])
            scores[rows] = cosines[rows] @ self.weights[name] + self.shifts[name]
        return np.asarray(scores)


def left_out(folds: Iterable[int]) -> str:
    """The key of some folds in HeldOut."""
    return ",".join(map(str, sorted(set(folds))))


def fit_held_out(
    cosines: Doubles,
    genuine: Bools,
    folds: npt.NDArray[np.int64],
    fold_of: Mapping[str, int],
    strength: float,
    intercept: float,
    non_negative: bool,
) -> HeldOut:
    """The fits of HeldOut.

    Args:
        cosines, genuine, folds: (N, K), (N,), (N,) of the pairs.
        fold_of: of their people.
        strength, intercept, non_negative: of the fit to all of them.

    Raises:
        DataError: there are fewer than three folds, so that two cannot be left out.
    """
    numbers = np.unique(folds).tolist()
    if len(numbers) < 3:
        problem = (
            "Weights fitted on validation people need three folds of them, for pairs across two are judged by the rest."
        )
        raise DataError(problem, got=len(numbers), allowed=">= 3", where="regions.weights: num_cross_validation_folds")
    weights, shifts = {}, {}
    for size in (1, 2):
        for out in subsets(numbers, size):
            kept = ~np.isin(folds, out)
            name = left_out(out)
            weights[name], own = fit_logistic(
                cosines[kept], genuine[kept], strength, np.ones(int(kept.sum())), non_negative
            )
            shifts[name] = own - intercept
    return HeldOut(fold_of, weights, shifts)
