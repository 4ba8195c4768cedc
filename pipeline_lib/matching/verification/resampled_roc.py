"""AUC, EER, TAR at FARs on many resamples at once: core.roc's figures of pairs that count several times."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.roc import Doubles, RankedScores


def resampled_roc(ranked: RankedScores, weights: Doubles, rates: Sequence[float]) -> Doubles:
    """The figures of a score on R resamples, as if each pair stood in them as often as its weight says.

    Args:
        ranked: N pairs, both classes.
        weights: float64 (N, R), >= 0, in the order in which the scores were given; each column holds both classes.
        rates: F false accept rates.

    Returns:
        float64 (2 + F, R) in [0, 1]: AUC (core.roc.area_under), EER (equal_error_rate), TAR at each rate (tar_at_far, without its
        None: a resample with few impostors has the TAR that lets none of them through).
    """
    ordered = weights[ranked.order]
    tar, far = (_accepted(ordered, labels, ranked) for labels in (ranked.genuine, ~ranked.genuine))
    excess = far + tar - 1.0
    steps = np.arange(excess.shape[1])
    after = np.argmax(excess >= 0, axis=0)  # the first point is at -1, the last at 1
    low, high = excess[after - 1, steps], excess[after, steps]
    before, beyond = far[after - 1, steps], far[after, steps]
    found = [
        np.einsum("pr,pr->r", np.diff(far, axis=0), tar[1:] + tar[:-1]) / 2,
        before + low / (low - high) * (beyond - before),
    ]
    for rate in rates:
        # The last point at or under the rate, with tar_at_far's slack.
        found.append(tar[(far <= rate * (1 + 1e-9)).sum(axis=0) - 1, steps])
    return np.stack(found)


def _accepted(ordered: Doubles, labels: npt.NDArray[np.bool_], ranked: RankedScores) -> Doubles:
    """The share of a class's weight at or above each distinct score, after 0 for none of it: (1 + S, R)."""
    sums = np.cumsum(ordered * labels[:, None], axis=0)
    if len(ranked.starts) < len(ranked.order):
        sums = sums[np.append(ranked.starts[1:], len(ranked.order)) - 1]
    return np.concatenate([np.zeros((1, sums.shape[1])), sums / sums[-1]])
