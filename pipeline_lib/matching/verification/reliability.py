"""Whether probabilities hold: how many of the pairs that have one are of one person."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.roc import Bools, Doubles

NUM_BINS = 10
Z = 1.959963984540054  # of a 95 % interval


class Bin(NamedTuple):
    """Pairs with a probability in [low, high), the last bin's in [0.9, 1].

    `probability`: their mean; `share` of genuine ones among them, in [share_low, share_high] by Wilson's interval (95 %, were
    the pairs independent).
    """

    low: float
    high: float
    num_pairs: int
    num_genuine: int
    probability: float
    share: float
    share_low: float
    share_high: float


def bins_of(probabilities: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Which of ten bins of equal width each is in, int64 (N,)."""
    return np.minimum((np.asarray(probabilities) * NUM_BINS).astype(np.int64), NUM_BINS - 1)


def reliability(probabilities: Doubles, genuine: Bools) -> list[Bin]:
    """The bins that hold pairs; probabilities (N,) in [0, 1], genuine bool (N,)."""
    bins, found = bins_of(probabilities), []
    for number in np.unique(bins).tolist():
        inside = bins == number
        count, num_genuine = int(inside.sum()), int(genuine[inside].sum())
        low, high = wilson(num_genuine, count)
        mean, share = float(probabilities[inside].mean()), num_genuine / count
        found.append(Bin(number / NUM_BINS, (number + 1) / NUM_BINS, count, num_genuine, mean, share, low, high))
    return found


def wilson(successes: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (1927): never empty, within [0, 1]; count >= 1."""
    share, spread = successes / count, Z * Z / count
    centre = share + spread / 2
    half = np.sqrt(spread * (share * (1 - share) + spread / 4))
    # The share lies between the ends, whatever their rounding at 0 and 1.
    return max(0.0, min(share, float((centre - half) / (1 + spread)))), min(
        1.0, max(share, float((centre + half) / (1 + spread)))
    )


def calibration_error(probabilities: Doubles, genuine: Bools, weights: Doubles) -> Doubles:
    """Σ over bins of their share of the pairs times |mean probability - share of genuine| (expected calibration error).

    It is above 0 by chance alone, the more the fewer pairs there are, and an interval over resamples lies higher still.

    Args:
        probabilities: (N,) in [0, 1].
        genuine: bool (N,).
        weights: (N, R), how often each pair counts on R resamples.

    Returns:
        float64 (R,) in [0, 1].
    """
    members = (bins_of(probabilities) == np.arange(NUM_BINS)[:, None]).astype(np.float64)
    gaps = (members * (probabilities - genuine)) @ weights
    return np.asarray(np.abs(gaps).sum(axis=0) / weights.sum(axis=0))
