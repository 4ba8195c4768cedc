"""The threshold that decides some pairs best."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.roc import check_scores


def best_threshold(scores: npt.ArrayLike, genuine: npt.ArrayLike) -> tuple[float, float]:
    """The threshold with the highest accuracy, and that accuracy in [0, 1]; a pair is accepted where score > threshold.

    Candidates, from strict to lax: the highest score (accepts nobody), the middle between neighbouring distinct scores,
    just under the lowest score (accepts everybody). Among equally good ones the strictest wins, as the first maximiser
    over distances does.

    Raises:
        DataError: see check_scores.
    """
    values, labels = check_scores(scores, genuine)
    order = np.argsort(-values, kind="stable")
    values, labels = values[order], labels[order]
    gains = np.cumsum(np.where(labels, 1, -1))
    last = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)
    gain = np.concatenate(([0], gains[last]))
    distinct = values[last]
    middle = distinct[1:] + (distinct[:-1] - distinct[1:]) / 2
    # Between adjacent floats the middle rounds to one of them; at the upper one it would refuse what it must accept.
    middle = np.where(middle < distinct[:-1], middle, distinct[1:])
    candidates = np.concatenate(([distinct[0]], middle, [np.nextafter(distinct[-1], -np.inf)]))
    best = int(np.argmax(gain))
    return float(candidates[best]), float((np.sum(~labels) + gain[best]) / len(labels))
