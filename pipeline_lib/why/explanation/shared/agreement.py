"""Whether two methods point at the same parts of two faces."""

from pipeline_lib.why.explanation.shared.explanation import Maps
from pipeline_lib.why.explanation.shared.rank_correlation import pooled, spearman

CELL_PX = 16  # 7x7 cells, the coarsest of the published maps (xCos)
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
    cells = zip(pooled(first, CELL_PX), pooled(second, CELL_PX), strict=True)
    return min(spearman(a, b) or 0.0 for a, b in cells)
