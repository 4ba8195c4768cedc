"""K folds (METHODS, section 5): each fold is judged at the threshold that is best on all the others; and the ROC's figures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.roc import Bools, Doubles, area_under, check_scores, equal_error_rate, roc_curve, tars_at_fars
from pipeline_lib.matching.verification.threshold import best_threshold
from pipeline_lib.params.section import Section

NUM_DISTANCE_STEPS = 400  # squared distances 0.00, 0.01, ..., 3.99 of unit vectors


class Settings(Section):
    """It has none."""


def evaluate(
    values: npt.ArrayLike, pairs: pa.Table, rates: Sequence[float], settings: Settings, is_cosine: bool
) -> dict[str, float]:
    """The figures of one score.

    accuracy_mean, accuracy_std (population), auc, eer in [0, 1]; num_genuine, num_impostor; tar@<rate> of those rates
    that the impostors resolve (roc.tar_at_far). Cosines take cosine_fold_accuracy, whose thresholds are the published
    protocol's; all others score_fold_accuracy, for they have no fixed range to step through.

    Args:
        values: (N,), higher is more alike.
        pairs: N of schemas.pairs.PAIRS, of one protocol.
        rates: false accept rates.
        settings: none.
        is_cosine: of feature vectors.

    Raises:
        DataError: see roc.check_scores and cosine_fold_accuracy.
    """
    by_folds = _by_folds(values, pairs, is_cosine)
    roc = roc_curve(values, pairs["genuine"].to_numpy())
    return {
        "accuracy_mean": by_folds.mean,
        "accuracy_std": by_folds.std,
        "auc": area_under(roc),
        "eer": equal_error_rate(roc)[0],
        "num_genuine": roc.num_genuine,
        "num_impostor": roc.num_impostor,
        **tars_at_fars(roc, rates),
    }


def correct_pairs(values: npt.ArrayLike, pairs: pa.Table, settings: Settings, is_cosine: bool) -> Bools:
    """Whether each pair is decided right at its fold's threshold, bool (N,); arguments and errors as evaluate's."""
    return _by_folds(values, pairs, is_cosine).correct


@dataclass(frozen=True)
class FoldAccuracy:
    """Accuracies in [0, 1] and thresholds (similarities), float64 (F,), of the folds `folds`, int64 (F,) ascending;
    `correct`, bool (N,): whether each pair is decided right."""

    folds: npt.NDArray[np.int64]
    accuracies: Doubles
    thresholds: Doubles
    correct: Bools

    @property
    def mean(self) -> float:
        """Mean accuracy over the folds, in [0, 1]."""
        return float(self.accuracies.mean())

    @property
    def std(self) -> float:
        """Population standard deviation (division by F) of the accuracies, as verification tables print it."""
        return float(self.accuracies.std())


def cosine_fold_accuracy(cosines: npt.ArrayLike, genuine: npt.ArrayLike, folds: npt.ArrayLike) -> FoldAccuracy:
    """K-fold accuracy of the cosine of unit vectors (METHODS, section 5).

    d = |a - b|² = 2 - 2 cos; a pair is accepted where d < t. A fold's t is the first maximiser of the accuracy on all
    the other folds among t = 0, 0.01, ..., 3.99.

    Args:
        cosines: (N,), cosines of the feature vectors in [-1, 1].
        genuine: bool (N,).
        folds: int (N,), the fold of each pair.

    Returns:
        Accuracies in [0, 1] and thresholds as cosines, 1 - t/2.

    Raises:
        DataError: see check_scores; fewer than two folds; the folds left after taking one out hold one class only.
    """
    values, labels = check_scores(cosines, genuine)
    distances = np.maximum(2.0 - 2.0 * values, 0.0)  # the cosine of equal vectors may round to above 1
    candidates = np.arange(NUM_DISTANCE_STEPS) / 100.0
    edges = np.searchsorted(
        candidates, distances, side="right"
    )  # accepted from this candidate on: d < candidates[edge]
    accuracies, thresholds, correct = [], [], np.zeros(len(values), np.bool_)
    names, rest_of = _split(folds, labels)
    for fold, rest in zip(names, rest_of, strict=True):
        gains = np.bincount(edges[rest], np.where(labels[rest], 1.0, -1.0), NUM_DISTANCE_STEPS + 1)[:-1]
        threshold = candidates[
            int(np.argmax(np.cumsum(gains)))
        ]  # correct = impostors + accepted genuine - accepted impostors
        held_out = np.asarray(folds) == fold
        correct[held_out] = (distances[held_out] < threshold) == labels[held_out]
        accuracies.append(float(np.mean(correct[held_out])))
        thresholds.append(1.0 - threshold / 2.0)
    return FoldAccuracy(names, np.array(accuracies), np.array(thresholds), correct)


def score_fold_accuracy(scores: npt.ArrayLike, genuine: npt.ArrayLike, folds: npt.ArrayLike) -> FoldAccuracy:
    """K-fold accuracy of any similarity: a fold's threshold is best_threshold of all the other folds' pairs.

    Args, raises: as cosine_fold_accuracy, but the scores may have any finite range.
    """
    values, labels = check_scores(scores, genuine)
    accuracies, thresholds, correct = [], [], np.zeros(len(values), np.bool_)
    names, rest_of = _split(folds, labels)
    for fold, rest in zip(names, rest_of, strict=True):
        threshold, _ = best_threshold(values[rest], labels[rest])
        held_out = np.asarray(folds) == fold
        correct[held_out] = (values[held_out] > threshold) == labels[held_out]
        accuracies.append(float(np.mean(correct[held_out])))
        thresholds.append(threshold)
    return FoldAccuracy(names, np.array(accuracies), np.array(thresholds), correct)


def _by_folds(values: npt.ArrayLike, pairs: pa.Table, is_cosine: bool) -> FoldAccuracy:
    accuracy = cosine_fold_accuracy if is_cosine else score_fold_accuracy
    return accuracy(values, pairs["genuine"].to_numpy(), pairs["fold"].to_numpy())


def _split(folds: npt.ArrayLike, labels: Bools) -> tuple[npt.NDArray[np.int64], list[Bools]]:
    numbers = np.asarray(folds)
    if numbers.shape != labels.shape or not np.issubdtype(numbers.dtype, np.integer):
        got = f"{numbers.dtype} {numbers.shape}"
        raise DataError("Folds and pairs do not belong together.", got=got, allowed=f"integers {labels.shape}")
    names = np.unique(numbers).astype(np.int64)
    if len(names) < 2:
        raise DataError("K-fold verification needs at least two folds.", got=names.tolist(), allowed=">= 2 folds")
    rests = [numbers != name for name in names]
    for name, rest in zip(names, rests, strict=True):
        if labels[rest].all() or not labels[rest].any():
            raise DataError(
                "The folds beside one fold hold a single class, so it has no threshold; add photographs.",
                got=f"fold {name}",
            )
    return names, rests
