"""The kept scores of pairs of two people against all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.matching.verification.impostors import impostor_scores


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-5, 40), min_size=1, max_size=300), st.floats(0.001, 0.999))
def test_a_threshold_lets_through_at_most_what_was_asked(scores: list[int], rate: float) -> None:
    values = np.array(scores, np.float64)
    tail = impostor_scores(values)
    threshold = tail.threshold(rate)
    assert np.sum(values > threshold) <= rate * len(values) * (1 + 1e-9)
    assert tail.above(threshold) >= np.sum(values > threshold)


def test_counts_are_exact_at_the_kept_scores_and_bounds_between_them() -> None:
    values = np.random.default_rng(0).normal(size=5000)
    tail = impostor_scores(values)
    assert len(tail.thresholds) < 100
    assert tail.false_matches[:12] == tuple(range(12))
    assert all(tail.above(score) == np.sum(values > score) for score in tail.thresholds)
    for threshold in np.linspace(-4, 4, 50):
        exact = np.sum(values > threshold)
        assert exact <= tail.above(threshold)
        assert tail.above(threshold) <= 1.125 * exact + 1 or threshold < np.median(values)


def test_the_bound_is_clopper_s_and_pearson_s() -> None:
    tail = impostor_scores(np.arange(300.0))
    assert tail.rates(299.0)[0] == 0.0
    assert tail.rates(299.0)[1] == pytest.approx(1 - 0.05 ** (1 / 300))  # the rule of three: about 3 / N
    assert tail.rates(-1.0) == (1.0, 1.0)
    # binom.cdf(3, 300, p) = 0.05 at p = 0.02563 (Clopper and Pearson's one-sided limit)
    assert tail.rates(296.0) == (0.01, pytest.approx(0.02563, abs=1e-4))
