"""Agreement of two maps: against SciPy, by hand with ties, and what orders nothing."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from pipeline_lib.why.explanation.shared.agreement import MIN_RANK_CORRELATION, rank_correlation

SIDE = 16


def spread(cells: np.ndarray) -> np.ndarray:
    """(2, 7, 7) as maps of pixels that are not constant within a cell, whose sums are 256 times the cells."""
    noise = np.random.default_rng(1).normal(size=(2, 7, SIDE, 7, SIDE))
    noise -= noise.mean(axis=(2, 4), keepdims=True)
    return (cells[:, :, None, :, None] + noise).reshape(2, 7 * SIDE, 7 * SIDE).astype(np.float32)


def test_it_is_the_lower_of_scipy_s_two() -> None:
    rng = np.random.default_rng(0)
    first = rng.normal(size=(2, 7, 7)) * 10
    second = first + rng.normal(size=(2, 7, 7)) * np.array([2.0, 30.0])[:, None, None]
    expected = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(first, second, strict=True)]
    assert expected[0] - expected[1] > 0.1
    assert rank_correlation(spread(first), spread(second)) == pytest.approx(min(expected), abs=1e-12)


def test_ties_share_their_mean_rank() -> None:
    """48 cells of 0 and one of 1 against 47 of 0 and two of 1: the phi coefficient of the two, (49 - 2) / sqrt(48 * 2 * 47)."""
    first, second = np.zeros((2, 7, 7)), np.zeros((2, 7, 7))
    first[:, 3, 3] = second[:, 3, 3] = second[:, 0, 0] = 1.0
    maps = [np.kron(cells, np.ones((SIDE, SIDE))).astype(np.float32) for cells in (first, second)]
    assert rank_correlation(*maps) == pytest.approx(47 / np.sqrt(48 * 2 * 47), abs=1e-12)
    assert rank_correlation(maps[0], -maps[0]) == pytest.approx(-1.0, abs=1e-12)


def test_a_map_without_an_order_agrees_with_none() -> None:
    any_map = spread(np.random.default_rng(0).normal(size=(2, 7, 7)))
    assert rank_correlation(np.zeros_like(any_map), any_map) == 0.0


def test_unrelated_cells_reach_the_bound_once_in_twenty_times() -> None:
    rng = np.random.default_rng(3)
    drawn = [spearmanr(rng.normal(size=49), rng.normal(size=49)).statistic for _ in range(2000)]
    assert np.mean(np.array(drawn) >= MIN_RANK_CORRELATION) == pytest.approx(0.05, abs=0.015)  # 3 standard errors
