"""The bootstrap of the region weights: what a resample holds, seeds, edges, refusals. Coverage is in tests/oracles."""

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.regions import bootstrap as region_bootstrap
from pipeline_lib.matching.regions.bootstrap import bootstrap_weights
from pipeline_lib.matching.regions.weights import RegionWeights

FOUND = RegionWeights(["p28_x0_y0", "p28_x14_y28"], np.zeros(2), 0.0, 1.0, {1.0: 0.1})
NUM_IDENTITIES = 12


class ScriptedDraws:
    """Stands in for a generator: gives the listed draws of identities one after another."""

    def __init__(self, *draws: list[int]) -> None:
        self.draws = list(draws)

    def integers(self, high: int, size: int) -> np.ndarray:
        draw = np.array(self.draws.pop(0))
        assert len(draw) == size == high
        return draw


def pairs(num: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cosines (num, 2), flags and people of random pairs of twelve identities, half of them genuine."""
    genuine = np.arange(num) % 2 == 0
    a = rng.integers(NUM_IDENTITIES, size=num)
    b = np.where(genuine, a, (a + rng.integers(1, NUM_IDENTITIES, size=num)) % NUM_IDENTITIES)
    return rng.normal(size=(num, 2)) + genuine[:, None] * [1.0, 0.5], genuine, np.stack([a, b], axis=1)


def test_golden_counts_of_one_resample(monkeypatch):
    """Identities 7, 8, 9 come 2, 1 and 0 times: their genuine pairs count 2, 1, 0, and 7 meets 8 in 2·1 pairs."""
    seen = []

    def fit(
        cosines: np.ndarray, genuine: np.ndarray, strength: float, counts: np.ndarray, non_negative: bool
    ) -> tuple[np.ndarray, float]:
        assert not non_negative
        seen.append((cosines[:, 0].tolist(), genuine.tolist(), strength, counts.tolist()))
        return np.array([float(len(seen)), 2.0 * len(seen)]), 0.0

    monkeypatch.setattr(region_bootstrap, "fit_logistic", fit)
    people = np.array([[7, 7], [8, 8], [9, 9], [7, 8], [8, 9], [9, 7], [8, 7]])
    cosines = np.arange(7.0)[:, None] * [1, 0]
    genuine = people[:, 0] == people[:, 1]
    spread = bootstrap_weights(FOUND, cosines, genuine, people, 2, ScriptedDraws([0, 1, 0], [2, 2, 1]))
    assert seen[0] == ([0.0, 1.0, 3.0, 6.0], [True, True, False, False], 1.0, [2.0, 1.0, 2.0, 2.0])
    assert seen[1] == ([1.0, 2.0, 4.0], [True, True, False], 1.0, [1.0, 2.0, 2.0])
    # The refits gave 1 and 2, 2 and 4: s = 1/√2 and 2/√2; percentiles lie 2.5 % and 97.5 % of the way between them.
    np.testing.assert_allclose(spread.standard_errors, [0.5**0.5, 2**0.5], rtol=1e-12)
    np.testing.assert_allclose(spread.intervals, [[1.025, 1.975], [2.05, 3.95]], rtol=1e-12)
    assert (spread.num_samples, spread.num_redrawn) == (2, 0)


def test_equal_seeds_give_equal_results():
    data = pairs(200, np.random.default_rng(0))
    first, again, other = (bootstrap_weights(FOUND, *data, 8, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.intervals, again.intervals)
    assert (first.intervals != other.intervals).any()
    assert (first.standard_errors > 0).all()
    assert (first.intervals[:, 0] < first.intervals[:, 1]).all()


def test_people_are_numbers_only():
    cosines, genuine, people = pairs(200, np.random.default_rng(0))
    plain, renamed = (
        bootstrap_weights(FOUND, cosines, genuine, numbers, 5, np.random.default_rng(3))
        for numbers in (people, people * 10 + 5)
    )
    np.testing.assert_array_equal(plain.standard_errors, renamed.standard_errors)
    swapped = bootstrap_weights(FOUND, cosines, genuine, people[:, ::-1], 5, np.random.default_rng(3))
    np.testing.assert_array_equal(plain.standard_errors, swapped.standard_errors)


def test_more_pairs_of_the_same_people_do_not_make_them_surer():
    """Each pair eight times: a bootstrap of pairs would shrink the errors by √8, that of identities not at all."""
    cosines, genuine, people = pairs(200, np.random.default_rng(0))
    once = bootstrap_weights(FOUND, cosines, genuine, people, 20, np.random.default_rng(3))
    eight = (np.repeat(array, 8, axis=0) for array in (cosines, genuine, people))
    weak = RegionWeights(FOUND.positions, np.zeros(2), 0.0, FOUND.strength / 8, {})  # C times the rows: the same loss
    often = bootstrap_weights(weak, *eight, 20, np.random.default_rng(3))
    np.testing.assert_allclose(often.standard_errors, once.standard_errors, rtol=1e-4)  # the solver's tolerance


def test_a_resample_of_one_class_is_drawn_anew_and_counted():
    """Of two identities only draws with both hold an impostor pair."""
    people = np.array([[0, 0], [1, 1], [0, 1], [1, 0]] * 5)
    genuine = people[:, 0] == people[:, 1]
    cosines = np.random.default_rng(0).normal(size=(20, 2))
    draws = [[0, 1]] * 5 + [[1, 1]] + [[1, 0]] * 5
    assert bootstrap_weights(FOUND, cosines, genuine, people, 10, ScriptedDraws(*draws)).num_redrawn == 1
    with pytest.raises(DataError, match=r"single class[\s\S]*2 of 7 resamples of 2 identities[\s\S]*at most 10%"):
        bootstrap_weights(FOUND, cosines, genuine, people, 10, ScriptedDraws(*draws[:6], [0, 0]))


def test_identities_without_genuine_pairs_may_be_all_that_is_drawn():
    people = np.array([[0, 0], [1, 2], [1, 2], [0, 1]])
    genuine = people[:, 0] == people[:, 1]
    cosines = np.random.default_rng(0).normal(size=(4, 2))
    draws = [[0, 1, 2]] * 10 + [[1, 2, 2]] + [[0, 1, 2]] * 10
    assert bootstrap_weights(FOUND, cosines, genuine, people, 20, ScriptedDraws(*draws)).num_redrawn == 1


def test_refusals():
    cosines, genuine, people = pairs(40, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match=r"NaN[\s\S]*\[3\]"):
        bootstrap_weights(FOUND, np.where(np.arange(40)[:, None] == 3, np.nan, cosines), genuine, people, 5, rng)
    with pytest.raises(DataError, match=r"do not belong together[\s\S]*cosines \(N, 2\)"):
        bootstrap_weights(FOUND, cosines[:, :1], genuine, people, 5, rng)
    with pytest.raises(DataError, match="do not belong together"):
        bootstrap_weights(FOUND, cosines, genuine, people[:, 0], 5, rng)
    with pytest.raises(DataError, match="at least 2 resamples"):
        bootstrap_weights(FOUND, cosines, genuine, people, 1, rng)
    with pytest.raises(DataError, match=r"their identity is one[\s\S]*\[0, 1, 2, 3, 4\]"):
        bootstrap_weights(FOUND, cosines, ~genuine, people, 5, rng)
