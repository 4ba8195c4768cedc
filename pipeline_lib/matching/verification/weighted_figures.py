"""AUC and accuracy of pairs that count several times: what a resample of the identities needs, for many resamples at once."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.roc import Bools, Doubles, check_scores
from pipeline_lib.matching.verification.kfold import NUM_DISTANCE_STEPS


def weighted_auc(scores: npt.ArrayLike, genuine: npt.ArrayLike, weights: Doubles) -> Doubles:
    """AUC = P(genuine > impostor) + P(equal)/2 (core.roc.area_under), each pair counted as often as its weight says.

    Args:
        scores: (N,) finite; higher is more alike.
        genuine: bool (N,).
        weights: float64 (R, N), >= 0; each row holds weight in both classes.

    Returns:
        float64 (R,) in [0, 1].

    Raises:
        DataError: see check_scores.
    """
    values, labels = check_scores(scores, genuine)
    order = np.argsort(-values, kind="stable")
    values, labels, sorted_weights = values[order], labels[order], weights[:, order]
    starts = np.flatnonzero(np.append(True, np.diff(values) != 0))  # of each run of equal scores
    tied = len(starts) < len(values)
    masses = [np.where(labels == wanted, sorted_weights, 0.0) for wanted in (True, False)]
    genuine_mass, impostor_mass = (np.add.reduceat(mass, starts, axis=1) if tied else mass for mass in masses)
    above = np.cumsum(genuine_mass, axis=1)
    won = np.einsum("rn,rn->r", above - genuine_mass / 2, impostor_mass)
    return np.asarray(won / (above[:, -1] * impostor_mass.sum(axis=1)))


def weighted_fold_accuracy(
    cosines: npt.ArrayLike, genuine: npt.ArrayLike, folds: npt.ArrayLike, weights: Doubles
) -> Doubles:
    """K-fold accuracy of cosines as the tables have it (kfold.cosine_fold_accuracy), pairs counted as the weights say.

    Each fold is judged at the threshold that is best, by weight, on all the other folds of the same row, so no pair has a
    part in its own threshold. A threshold fitted to the whole row would flatter both scores, the better one less; and with
    weights of 1 this is the very figure that the tables show. A row's accuracy is the mean over those of its folds that
    have weight, and beside which both classes have some.

    Args:
        cosines: (N,) in [-1, 1].
        genuine: bool (N,).
        folds: int (N,), at least two different ones.
        weights: float64 (R, N), >= 0; each row has a fold that can be judged.

    Returns:
        float64 (R,) in [0, 1].

    Raises:
        DataError: see check_scores; there is one fold only.
    """
    values, labels = check_scores(cosines, genuine)
    names, numbers = np.unique(folds, return_inverse=True)
    if len(names) < 2:
        raise DataError("K-fold verification needs at least two folds.", got=names.tolist(), allowed=">= 2 folds")
    candidates = np.arange(NUM_DISTANCE_STEPS) / 100.0
    # A pair is accepted from candidate `edge` on; beyond the last one it never is.
    edges = np.searchsorted(candidates, np.maximum(2.0 - 2.0 * values, 0.0), side="right")
    cells = numbers * (NUM_DISTANCE_STEPS + 1) + edges
    shape = (len(weights), len(names), NUM_DISTANCE_STEPS + 1)
    gains = _sums(np.where(labels, weights, -weights), cells, shape[1] * shape[2]).reshape(shape)[:, :, :-1]
    gains = np.cumsum(gains, axis=2)  # accepted genuine weight less accepted impostor weight
    rest = gains.sum(axis=1, keepdims=True) - gains
    best = np.argmax(rest, axis=2, keepdims=True)  # the first maximiser
    masses = _fold_masses(labels, numbers, weights)
    correct = masses[1] + np.take_along_axis(gains, best, axis=2)[:, :, 0]
    judged = _judged(masses)
    accuracy = np.divide(correct, masses.sum(axis=0), out=np.zeros_like(correct), where=judged)
    return np.asarray(accuracy.sum(axis=1) / judged.sum(axis=1))


def measurable(genuine: Bools, folds: npt.ArrayLike, weights: Doubles) -> Bools:
    """The rows of `weights` in which the figures can be had: both classes have weight, and a fold can be judged.

    Args:
        genuine: bool (N,).
        folds: int (N,); where all are one, no fold is judged, and both classes are enough.
        weights: float64 (R, N), >= 0.

    Returns:
        bool (R,).
    """
    names, numbers = np.unique(folds, return_inverse=True)
    masses = _fold_masses(genuine, numbers, weights)
    if len(names) < 2:
        return np.asarray((masses > 0).all(axis=(0, 2)))
    return np.asarray(_judged(masses).any(axis=1))


def _fold_masses(genuine: Bools, numbers: npt.NDArray[np.int64], weights: Doubles) -> Doubles:
    """The weight of genuine and of impostor pairs in each fold, (2, R, F), for folds numbered from 0."""
    num_folds = int(numbers.max()) + 1
    return np.stack([_sums(weights * (genuine == wanted), numbers, num_folds) for wanted in (True, False)])


def _judged(masses: Doubles) -> Bools:
    """(2, R, F) -> (R, F): the folds that have weight, and beside which both classes have some."""
    beside = masses.sum(axis=2, keepdims=True) - masses > 0
    return np.asarray((masses.sum(axis=0) > 0) & beside.all(axis=0))


def _sums(weights: Doubles, groups: npt.NDArray[np.int64], num_groups: int) -> Doubles:
    """Sums of the columns of each group: (R, N) -> (R, num_groups)."""
    order = np.argsort(groups, kind="stable")
    found, starts = np.unique(groups[order], return_index=True)
    sums = np.zeros((len(weights), num_groups))
    sums[:, found] = np.add.reduceat(weights[:, order], starts, axis=1)
    return sums
