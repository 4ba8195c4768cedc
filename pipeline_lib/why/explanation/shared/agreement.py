"""Whether two methods point at the same parts of two faces."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.why.explanation.shared.explanation import Maps

NUM_CELLS = 7  # a side: the coarsest of the published maps (xCos), of 16 px
# Of 49 values in unrelated orders the rank correlation has a standard deviation of 1 / sqrt(48), so it is above 1.64 times that,
# 0.24, by chance once in twenty times. Neighbouring cells are alike, which makes chance agreement likelier: to reach the
# bound is necessary, not proof.
MIN_RANK_CORRELATION = 0.24


def rank_correlation(first: Maps, second: Maps) -> float:
    """The lower of both faces' Spearman correlations of two methods' maps, each pooled to 7x7 cells.

        r = the Pearson correlation of the cells' ranks, equal values sharing the mean of theirs

    A map whose cells are all equal orders nothing: its r is 0.

    Args:
        first, second: float32 (2, 112, 112), of the same pair, signed.

    Returns:
        In [-1, 1].
    """
    return min(_spearman(_pooled(a), _pooled(b)) for a, b in zip(first, second, strict=True))


def _pooled(saliency: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    side = FACE_PX // NUM_CELLS
    cells: npt.NDArray[np.float64] = saliency.reshape(NUM_CELLS, side, NUM_CELLS, side).sum(
        axis=(1, 3), dtype=np.float64
    )
    return cells.ravel()


def _spearman(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    ranks = [_ranks(values) for values in (a, b)]
    deviations = [values - values.mean() for values in ranks]
    norms = float(np.linalg.norm(deviations[0]) * np.linalg.norm(deviations[1]))
    return float(deviations[0] @ deviations[1]) / norms if norms else 0.0


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: npt.NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks
