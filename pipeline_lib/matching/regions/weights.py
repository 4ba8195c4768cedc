"""RRFNet's Approach A: a pair's score is the weighted sum of its regions' cosines, weights by logistic regression."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
CONSTANT_BELOW = 1e-6


@dataclass(frozen=True)
class RegionWeights:
    """S_global = Σ_i w_i·S_local,i (RRFNet, eq. 2), w_i for cosines as they are; S_global + intercept is a log-odds.

    Attributes:
        positions: K names of regions, of one size or of both.
        weights: float64 (K,).
        intercept: the regression's bias; a constant, so no part of the score.
        strength: C, the inverse of the L2 penalty's weight, that cross-validation chose.
        log_losses: mean log-loss of the held-out folds by strength.
    """

    positions: list[str]
    weights: Doubles
    intercept: float
    strength: float
    log_losses: dict[float, float]

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
    positions: Sequence[str], cosines: npt.ArrayLike, genuine: Bools, folds: Rows, strengths: Sequence[float]
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
            weights, intercept = fit_logistic(values[rest], genuine[rest], strength, np.ones(int(rest.sum())))
            logits = values[folds == fold] @ weights + intercept
            held_out.append(np.logaddexp(0.0, np.where(genuine[folds == fold], -logits, logits)))
        log_losses[strength] = float(np.concatenate(held_out).mean())
    best = min(log_losses, key=log_losses.__getitem__)
    weights, intercept = fit_logistic(values, genuine, best, np.ones(len(values)))
    return RegionWeights(list(positions), weights, intercept, best, log_losses)


def fit_logistic(cosines: Doubles, genuine: Bools, strength: float, counts: Doubles) -> tuple[Doubles, float]:
    """Weights and intercept of one regression, for cosines as they are.

        minimise ½‖w'‖² + C·Σ_n counts_n·log(1 + exp(-y_n(w'·z_n + b))),  z = (cosines - mean)/σ,  y = ±1

    Args:
        cosines: (N, K), finite.
        genuine: bool (N,), both classes.
        strength: C.
        counts: (N,), positive; how often each pair counts, in the mean and σ too, as if its row stood there so often.
    """
    from sklearn.linear_model import LogisticRegression

    mean = np.average(cosines, axis=0, weights=counts)
    spread = np.sqrt(np.average((cosines - mean) ** 2, axis=0, weights=counts))
    # A region that never varies beyond the rounding of float32 cosines must not be blown up to one that does.
    spread = np.where(spread > CONSTANT_BELOW, spread, 1.0)
    model = LogisticRegression(C=strength, tol=1e-8, max_iter=1000)
    model.fit((cosines - mean) / spread, genuine, sample_weight=counts)
    weights = model.coef_[0] / spread
    return weights, float(model.intercept_[0] - weights @ mean)


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
