"""Figures of pairs that count several times: what a resample of the identities needs, for many resamples at once."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.roc import Doubles, ranked_scores


class RankedPairs:
    """Pairs in the order of one score, sorted once for all the weights that they are measured under."""

    def __init__(self, scores: npt.ArrayLike, genuine: npt.ArrayLike) -> None:
        """
        Args:
            scores: (N,) finite; higher is more alike.
            genuine: bool (N,).

        Raises:
            DataError: see check_scores.
        """
        self._order, _, self._genuine, self._starts = ranked_scores(scores, genuine)

    def auc(self, weights: Doubles) -> Doubles:
        """AUC = P(genuine > impostor) + P(equal)/2 (core.roc.area_under), each pair counted as often as its weight says.

        Args:
            weights: float64 (R, N), >= 0, in the order in which the scores were given; each row holds both classes.

        Returns:
            float64 (R,) in [0, 1].
        """
        genuine, impostor = self._masses(weights)
        above = np.cumsum(genuine, axis=1)
        won = np.einsum("rs,rs->r", above - genuine / 2, impostor)
        return np.asarray(won / (above[:, -1] * impostor.sum(axis=1)))

    def accuracy(self, weights: Doubles) -> Doubles:
        """Accuracy at the threshold that is best on the row itself, pairs counted as the weights say.

        Args, returns: as auc.

        The tables' k-fold accuracy takes each fold's threshold from the other folds and so flatters no score. Beside a
        second score that protects nothing, for both are flattered alike, and it costs much: where accuracy hardly depends
        on the threshold, the folds' thresholds jump from resample to resample, and differently for the two scores. On made
        protocols with known differences the intervals of k-fold differences came out twice as wide (720 and 6,000 pairs).
        """
        genuine, impostor = self._masses(weights)
        gained = np.cumsum(genuine - impostor, axis=1).max(axis=1)
        refused = impostor.sum(axis=1)  # what a threshold above all scores gets right
        return np.asarray((refused + np.maximum(gained, 0.0)) / (refused + genuine.sum(axis=1)))

    def tar_at_far(self, weights: Doubles, rate: float) -> Doubles:
        """The highest TAR of an operating point with FAR <= `rate` (core.roc.tar_at_far), pairs counted as the weights say.

        0 where even the highest score lets more impostors through. Whether so few impostors tell the rate is not asked here.

        Args, returns: as auc.
        """
        genuine, impostor = self._masses(weights)
        accepted = np.cumsum(impostor, axis=1)
        # As in core.roc: an operating point that is exactly at the rate belongs to it, whatever its rounding.
        num_points = (accepted <= rate * (1 + 1e-9) * accepted[:, -1:]).sum(axis=1)
        tar = np.cumsum(genuine, axis=1)
        reached = np.take_along_axis(tar, np.maximum(num_points - 1, 0)[:, None], axis=1)[:, 0]
        return np.asarray(np.where(num_points > 0, reached, 0.0) / tar[:, -1])

    def _masses(self, weights: Doubles) -> tuple[Doubles, Doubles]:
        """The weight of the genuine and of the impostor pairs of each distinct score, highest first: (R, S) each."""
        ordered = weights[:, self._order]
        genuine, impostor = np.where(self._genuine, ordered, 0.0), np.where(self._genuine, 0.0, ordered)
        if len(self._starts) == len(self._order):
            return genuine, impostor
        return np.add.reduceat(genuine, self._starts, axis=1), np.add.reduceat(impostor, self._starts, axis=1)
