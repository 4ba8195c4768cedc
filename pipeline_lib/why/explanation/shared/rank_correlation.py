"""How alike two explanations rank the parts of two faces."""

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.geometry import FACE_PX

CELL_PX = 8  # a map of gradients and a map of patches agree on no pixel; on cells of an eye's size they may

Values = npt.NDArray[np.floating[Any]]


def map_correlation(maps: Values, others: Values) -> float | None:
    """Spearman's rank correlation of two pairs of maps, over the cells of both images.

    Args:
        maps, others: (2, 112, 112), finite; averaged over cells of CELL_PX first.

    Returns:
        In [-1, 1]; None where one of them is the same everywhere, and so ranks nothing.
    """
    return spearman(pooled(maps).ravel(), pooled(others).ravel())


def pooled(maps: Values, cell_px: int = CELL_PX) -> npt.NDArray[np.float64]:
    """Means over the cells, row by row: (2, 112, 112) to float64 (2, (112 / cell_px)²)."""
    num = FACE_PX // cell_px
    cells: npt.NDArray[np.float64] = maps.reshape(2, num, cell_px, num, cell_px).mean(axis=(2, 4), dtype=np.float64)
    return cells.reshape(2, -1)


def spearman(a: Values, b: Values) -> float | None:
    """The correlation of the ranks of a (N,) and of b (N,), equal values sharing their mean rank; None where either is flat.

    Raises:
        DataError: the shapes differ, or a value is not finite.
    """
    if a.shape != b.shape or a.ndim != 1 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise DataError("Ranks of two lists cannot be compared.", got=(a.shape, b.shape), allowed="(N,), (N,), finite")
    x, y = (ranks - ranks.mean() for ranks in (_ranks(a), _ranks(b)))
    lengths = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / lengths if lengths else None


def _ranks(values: Values) -> npt.NDArray[np.float64]:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_ranks: npt.NDArray[np.float64] = np.cumsum(counts) - (counts - 1) / 2
    return mean_ranks[which]
