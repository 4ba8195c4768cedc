"""RRFNet's Approach A: a pair's score is the weighted sum of its regions' cosines, weights by logistic regression."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json, write_json

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


@dataclass(frozen=True)
class TrainingPairs:
    """Pairs of rows a, b, int64 (N,); genuine, bool (N,); fold, int64 (N,). No identity stands in two folds."""

    a: Rows
    b: Rows
    genuine: Bools
    folds: Rows


def draw_training_pairs(
    identities: Sequence[str], splits: Sequence[str], num_pairs: int, num_folds: int, rng: np.random.Generator
) -> TrainingPairs:
    """Draw pairs of training images, half genuine, half impostor, in folds of disjoint identities.

    The training identities are dealt to the folds at random; a fold's pairs are of its own identities. A genuine pair
    is of an identity drawn uniformly among those with two images, and two of its images; an impostor pair is of two
    identities and one image of each. Pairs are drawn independently, so one may come twice.

    Args:
        identities, splits: N, of the images; only rows of split "train" are drawn.
        num_pairs: about how many; num_folds times the nearest even number below num_pairs / num_folds, at least 2.
        num_folds: at least 2.
        rng: the identities are sorted first, so equal sets of images give equal pairs.

    Raises:
        DataError: a training identity is also in another split (names it); too few identities or images for the folds.
    """
    rows_of: dict[str, list[int]] = {}
    for row, (identity, split) in enumerate(zip(identities, splits, strict=True)):
        if split == "train":
            rows_of.setdefault(identity, []).append(row)
    others = {identity for identity, split in zip(identities, splits, strict=True) if split != "train"}
    shared = sorted(others & set(rows_of))
    if shared:
        raise DataError("Region weights may see training identities only.", got=shared[:10], allowed="no test identity")
    if len(rows_of) < 2 * num_folds:
        allowed = f"at least two for each of {num_folds} folds"
        where = "region_weights.num_cross_validation_folds"
        raise DataError("There are too few training identities.", got=len(rows_of), allowed=allowed, where=where)
    names = rng.permutation(sorted(rows_of))
    num_each = max(num_pairs // (2 * num_folds), 1)
    parts = []
    for fold in range(num_folds):
        own = [np.array(rows_of[name], np.int64) for name in names[fold::num_folds]]
        pairs = np.concatenate([_genuine(own, num_each, rng), _impostor(own, num_each, rng)])
        parts.append((pairs, np.arange(2 * num_each) < num_each, np.full(2 * num_each, fold)))
    pairs, genuine, folds = (np.concatenate(column) for column in zip(*parts, strict=True))
    return TrainingPairs(pairs[:, 0], pairs[:, 1], genuine, folds)


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
            weights, intercept = _fit(values[folds != fold], genuine[folds != fold], strength)
            logits = values[folds == fold] @ weights + intercept
            held_out.append(np.logaddexp(0.0, np.where(genuine[folds == fold], -logits, logits)))
        log_losses[strength] = float(np.concatenate(held_out).mean())
    best = min(log_losses, key=log_losses.__getitem__)
    weights, intercept = _fit(values, genuine, best)
    return RegionWeights(list(positions), weights, intercept, best, log_losses)


def write_region_weights(path: Path, found: RegionWeights) -> None:
    """Write the weights as JSON, by position."""
    weights = dict(zip(found.positions, found.weights.tolist(), strict=True))
    losses = {f"{strength:g}": loss for strength, loss in found.log_losses.items()}
    write_json(
        path, {"weights": weights, "intercept": found.intercept, "strength": found.strength, "log_losses": losses}
    )


def read_region_weights(path: Path, positions: Sequence[str]) -> RegionWeights:
    """Read the weights, in the order of `positions`.

    Raises:
        DataError: the file is missing or damaged, or its positions are not these.
    """
    raw = read_json(path)
    try:
        weights = {str(name): float(weight) for name, weight in raw["weights"].items()}
        losses = {float(strength): float(loss) for strength, loss in raw["log_losses"].items()}
        intercept, strength = float(raw["intercept"]), float(raw["strength"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        problem = "The region weights are damaged; rerun the fit_region_weights stage."
        raise DataError(problem, got=repr(error), where=path) from error
    if sorted(weights) != sorted(positions):
        problem = "The region weights are for other positions; rerun the fit_region_weights stage."
        raise DataError(problem, got=sorted(weights), allowed=sorted(positions), where=path)
    return RegionWeights(list(positions), np.array([weights[name] for name in positions]), intercept, strength, losses)


def _fit(cosines: Doubles, genuine: Bools, strength: float) -> tuple[Doubles, float]:
    from sklearn.linear_model import LogisticRegression

    mean, spread = cosines.mean(axis=0), cosines.std(axis=0)
    # A region that never varies beyond the rounding of float32 cosines must not be blown up to one that does.
    spread = np.where(spread > CONSTANT_BELOW, spread, 1.0)
    model = LogisticRegression(C=strength, tol=1e-8, max_iter=1000)
    model.fit((cosines - mean) / spread, genuine)
    weights = model.coef_[0] / spread
    return weights, float(model.intercept_[0] - weights @ mean)


def _genuine(own: list[Rows], num: int, rng: np.random.Generator) -> Rows:
    several = [rows for rows in own if len(rows) > 1]
    if not several:
        got = f"a fold of {len(own)} identities with one image each"
        raise DataError("A fold has no genuine pair.", got=got, allowed="an identity with two images in each fold")
    drawn = [several[index] for index in rng.integers(len(several), size=num)]
    return np.stack([rng.choice(rows, 2, replace=False) for rows in drawn])


def _impostor(own: list[Rows], num: int, rng: np.random.Generator) -> Rows:
    chosen = [rng.choice(len(own), 2, replace=False) for _ in range(num)]
    return np.array([[rng.choice(own[a]), rng.choice(own[b])] for a, b in chosen], np.int64)


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
