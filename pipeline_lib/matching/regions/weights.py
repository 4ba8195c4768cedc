"""RRFNet's Approach A: a pair's score is the weighted sum of its regions' cosines, weights by logistic regression."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.regions.held_out import HeldOut
from pipeline_lib.matching.regions.logistic import fit_logistic

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RegionWeights:
    """S_global = Σ_i w_i·S_local,i (RRFNet, eq. 2), w_i for cosines as they are; S_global + intercept is a log-odds.

    Attributes:
        positions: K names of regions, of one size or of both.
        weights: float64 (K,).
        intercept: the regression's bias; a constant, so no part of the score.
        strength: C, the inverse of the L2 penalty's weight, that cross-validation chose.
        log_losses: mean log-loss of the held-out folds by strength.
        non_negative: whether no weight may be below 0.
        held_out: of weights fitted on validation people, what scores those people's pairs; else None.
    """

    positions: list[str]
    weights: Doubles
    intercept: float
    strength: float
    log_losses: dict[float, float]
    non_negative: bool = False
    held_out: HeldOut | None = None

    def score(self, cosines: npt.ArrayLike) -> Doubles:
        """S_global, float64 (N,), of the regions' cosines (N, K) in the order of `positions`.

        Raises:
            DataError: another K, or a cosine is NaN or infinite.
        """
        values = np.asarray(cosines, np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.weights) or not np.isfinite(values).all():
            allowed = f"finite (N, {len(self.weights)})"
            raise DataError("Region cosines do not fit the weights.", got=values.shape, allowed=allowed)
        return np.asarray(values @ self.weights)


def fit_region_weights(
    positions: Sequence[str],
    cosines: npt.ArrayLike,
    genuine: Bools,
    folds: Rows,
    strengths: Sequence[float],
    non_negative: bool = False,
) -> RegionWeights:
    """Weights of the regions by logistic regression with a bias on standardised cosines (RRFNet III-A).

    The L2 strength is the one with the least log-loss over the held-out folds (the strongest penalty among equals); the
    regression is then fitted to all pairs. Standardisation is part of each fit, so a held-out fold is not seen. The
    weights come back for cosines as they are: w_i = w'_i / σ_i.

    Args:
        positions: K unique names.
        cosines: (N, K), S_local of each pair (RRFNet, eq. 1).
        genuine, folds: bool (N,), int64 (N,); no identity in two folds (draw_training_pairs).
        strengths: candidates for C, the inverse of the penalty's weight; a single one is taken as it is.
        non_negative: no weight may be below 0 (fit_non_negative).

    Raises:
        DataError: shapes differ, a value is NaN or infinite, a position stands twice, or a fold (or the rest without
            it) holds one class only.
    """
    values = np.asarray(cosines, np.float64)
    _check(positions, values, genuine, folds)
    log_losses = {}
    for strength in sorted(strengths):
        held_out = []
        for fold in np.unique(folds):
            rest = folds != fold
            weights, intercept = fit_logistic(
                values[rest], genuine[rest], strength, np.ones(int(rest.sum())), non_negative
            )
            logits = values[folds == fold] @ weights + intercept
            held_out.append(np.logaddexp(0.0, np.where(genuine[folds == fold], -logits, logits)))
        log_losses[strength] = float(np.concatenate(held_out).mean())
    best = min(log_losses, key=log_losses.__getitem__)
    weights, intercept = fit_logistic(values, genuine, best, np.ones(len(values)), non_negative)
    return RegionWeights(list(positions), weights, intercept, best, log_losses, non_negative)


def _check(positions: Sequence[str], cosines: Doubles, genuine: Bools, folds: Rows) -> None:
    num = len(genuine)
    if cosines.shape != (num, len(positions)) or folds.shape != (num,) or len(set(positions)) != len(positions):
        got = f"cosines {cosines.shape}, {num} flags, {len(folds)} folds, positions {list(positions)}"
        raise DataError("Regions, pairs and folds do not belong together.", got=got)
    if not np.isfinite(cosines).all():
        rows = np.flatnonzero(~np.isfinite(cosines).all(axis=1))[:5].tolist()
        raise DataError("A region's cosine is NaN or infinite.", got=f"pairs {rows}", allowed="finite values")
    for fold in np.unique(folds):
        rest = genuine[folds != fold]
        if rest.all() or not rest.any():
            raise DataError(
                "The pairs beside one fold hold a single class.", got=f"fold {fold}", allowed="both classes"
            )
