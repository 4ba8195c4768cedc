"""Rank correlations of maps against scipy, by hand, and where there is no rank."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from pipeline_lib.core.errors import DataError
from pipeline_lib.why.explanation.shared.rank_correlation import map_correlation, pooled, spearman

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("num_values", [3, 500])
def test_equals_scipy_with_and_without_ties(num_values):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        a, b = rng.integers(0, num_values, 40).astype(float), rng.integers(0, num_values, 40).astype(float)
        assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)


def test_worked_by_hand():
    # Ranks 1 2.5 2.5 4 and 2 1 3 4: products sum to 3, lengths sqrt(4.5) and sqrt(5).
    assert spearman(np.array([0.0, 5, 5, 9]), np.array([2.0, 1, 3, 4])) == pytest.approx(3 / np.sqrt(4.5 * 5))


def test_only_the_order_counts():
    values = RNG.normal(size=50)
    assert spearman(values, np.exp(values)) == pytest.approx(1.0)
    assert spearman(values, -(values**3)) == pytest.approx(-1.0)


def test_a_flat_list_ranks_nothing():
    assert spearman(np.ones(5), np.arange(5.0)) is None
    maps = RNG.normal(size=(2, 112, 112)).astype(np.float32)
    assert map_correlation(maps, np.zeros_like(maps)) is None
    assert map_correlation(maps, maps) == pytest.approx(1.0)


def test_maps_are_compared_cell_by_cell():
    maps = RNG.normal(size=(2, 112, 112))
    cells = pooled(maps)
    assert cells.shape == (2, 196)
    assert cells[1, 3 * 14 + 13] == pytest.approx(maps[1, 24:32, 104:112].mean())
    within = maps.reshape(2, 14, 8, 14, 8)[:, :, ::-1, :, ::-1].reshape(maps.shape)  # moved within the cells alone
    assert map_correlation(maps, within) == pytest.approx(1.0)


@pytest.mark.parametrize("b", [np.arange(4.0), np.array([1.0, np.nan, 2.0]), np.zeros((3, 1))])
def test_what_cannot_be_ranked_is_refused(b):
    with pytest.raises(DataError, match="cannot be compared"):
        spearman(np.arange(3.0), b)
