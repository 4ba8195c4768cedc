"""Isotonic calibration: log odds that never fall with a score, and follow the pairs otherwise."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.roc import Bools, Doubles
from pipeline_lib.matching.verification.logistic_curve import smoothed_targets

Points = tuple[tuple[float, float], ...]
ROUNDING = 1e-12  # of means of N targets, which differ by 1/N² at least


class Blocks(NamedTuple):
    """What pooling adjacent violators leaves, by rising score; float64 (B,) each.

    Attributes:
        means: of the targets, rising strictly.
        centres: mean scores, rising strictly.
        sizes: pairs.
    """

    means: Doubles
    centres: Doubles
    sizes: Doubles


def pooled(scores: Doubles, targets: Doubles) -> Blocks:
    """The blocks of the non-decreasing function of the score with the least squared (and cross-entropy) error to the targets
    (pool adjacent violators; Zadrozny, Elkan 2002). Equal scores are in one block.

    Args:
        scores: (N,) finite, N >= 1.
        targets: (N,) in [0, 1].
    """
    from sklearn.isotonic import isotonic_regression

    distinct, which, counts = np.unique(scores, return_inverse=True, return_counts=True)
    totals = np.bincount(which, targets)
    fitted = isotonic_regression(totals / counts, sample_weight=counts)
    starts = np.flatnonzero(np.append(True, np.diff(fitted) > ROUNDING))
    ends = np.append(starts[1:], len(distinct)) - 1
    sizes = np.add.reduceat(counts, starts).astype(np.float64)
    centres = np.add.reduceat(distinct * counts, starts) / sizes
    # A mean of equal or neighbouring floats may round out of their range.
    centres = np.clip(centres, distinct[starts], distinct[ends])
    return Blocks(np.add.reduceat(totals, starts) / sizes, centres, sizes)


def fit_isotonic_curve(values: Doubles, labels: Bools) -> Points:
    """(score, log odds) at the centres of the blocks of smoothed_targets, both rising strictly; see log_odds_on.

    Lines between the blocks' centres instead of steps (Oron, Flournoy 2017, Centered isotonic regression): the curve then
    rises strictly, so at any threshold it has one value, and shifted by that it is 1/2 there and nowhere else.

    Args:
        values: (N,) finite.
        labels: bool (N,), both classes.
    """
    blocks = pooled(values, smoothed_targets(labels))
    log_odds = np.log(blocks.means / (1 - blocks.means))
    return tuple(zip(blocks.centres.tolist(), log_odds.tolist(), strict=True))


def log_odds_on(points: Points, slope: float, scores: npt.ArrayLike) -> Doubles:
    """The curve through the points, of scores of any shape; beyond the first and the last it goes on with `slope`."""
    values = np.asarray(scores, np.float64)
    centres, log_odds = np.array(points).T
    beyond = values - np.clip(values, centres[0], centres[-1])
    return np.asarray(np.interp(values, centres, log_odds) + slope * beyond)


def score_at(points: Points, slope: float, log_odds: float) -> float:
    """Where the curve has these log odds; slope > 0."""
    centres, heights = np.array(points).T
    beyond = log_odds - float(np.clip(log_odds, heights[0], heights[-1]))
    return float(np.interp(log_odds, heights, centres)) + beyond / slope
