"""AUC and accuracy of pairs that count several times: what a resample of the identities needs, for many resamples at once."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.roc import Doubles, check_scores


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
    genuine_mass, impostor_mass = _masses(scores, genuine, weights)
    above = np.cumsum(genuine_mass, axis=1)
    won = np.einsum("rn,rn->r", above - genuine_mass / 2, impostor_mass)
    return np.asarray(won / (above[:, -1] * impostor_mass.sum(axis=1)))


def weighted_accuracy(scores: npt.ArrayLike, genuine: npt.ArrayLike, weights: Doubles) -> Doubles:
    """Accuracy at the threshold that is best on the row itself, pairs counted as the weights say.

    Args, returns, raises: as weighted_auc.

    The tables' k-fold accuracy takes each fold's threshold from the other folds and so flatters no score. Beside a second
    score that protects nothing, for both are flattered alike, and it costs much: where accuracy hardly depends on the
    threshold, the folds' thresholds jump from resample to resample, and differently for the two scores. On made protocols
    with known differences the intervals of k-fold differences came out twice as wide (720 and 6,000 pairs).
    """
    genuine_mass, impostor_mass = _masses(scores, genuine, weights)
    gained = np.cumsum(genuine_mass - impostor_mass, axis=1).max(axis=1)
    refused = impostor_mass.sum(axis=1)  # what a threshold above all scores gets right
    return np.asarray((refused + np.maximum(gained, 0.0)) / (refused + genuine_mass.sum(axis=1)))


def _masses(scores: npt.ArrayLike, genuine: npt.ArrayLike, weights: Doubles) -> tuple[Doubles, Doubles]:
    """The weight of the genuine and of the impostor pairs of each distinct score, highest first: (R, S) each."""
    values, labels = check_scores(scores, genuine)
    order = np.argsort(-values, kind="stable")
    values, labels, ordered = values[order], labels[order], weights[:, order]
    genuine_mass, impostor_mass = np.where(labels, ordered, 0.0), np.where(labels, 0.0, ordered)
    starts = np.flatnonzero(np.append(True, np.diff(values) != 0))  # of each run of equal scores
    if len(starts) == len(values):
        return genuine_mass, impostor_mass
    return np.add.reduceat(genuine_mass, starts, axis=1), np.add.reduceat(impostor_mass, starts, axis=1)
