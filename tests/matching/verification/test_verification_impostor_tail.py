"""The kept impostor scores against all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.verification.impostor_tail import impostor_tail


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-5, 40), min_size=1, max_size=300), st.floats(0.001, 0.999))
def test_a_threshold_lets_through_at_most_what_was_asked(scores: list[int], rate: float) -> None:
    values = np.array(scores, np.float64)
    tail = impostor_tail(values)
    if int(rate * len(values) * (1 + 1e-9)) < 1:
        with pytest.raises(DataError, match="cannot be told"):
            tail.threshold(rate)
        return
    threshold = tail.threshold(rate)
    assert np.sum(values > threshold) <= rate * len(values) * (1 + 1e-9)
    assert tail.false_matches(threshold) >= np.sum(values > threshold)


def test_counts_are_exact_at_the_kept_scores_and_bounds_between_them() -> None:
    values = np.random.default_rng(0).normal(size=5000)
    tail = impostor_tail(values)
    assert len(tail.ranks) < 100
    assert tail.ranks[:21] == list(range(21))
    assert all(tail.false_matches(score) == np.sum(values > score) for score in tail.scores)
    for threshold in np.linspace(-4, 4, 50):
        exact = np.sum(values > threshold)
        assert exact <= tail.false_matches(threshold) <= 1.1 * exact + 1


def test_the_bound_is_clopper_s_and_pearson_s() -> None:
    tail = impostor_tail(np.arange(300.0))
    assert tail.rates(299.0)[0] == 0.0
    assert tail.rates(299.0)[1] == pytest.approx(1 - 0.05 ** (1 / 300))  # the rule of three: about 3 / N
    assert tail.rates(-1.0) == (1.0, 1.0)
    # binom.cdf(3, 300, p) = 0.05 at p = 0.02563 (Clopper and Pearson's one-sided limit)
    assert tail.rates(296.0) == (0.01, pytest.approx(0.02563, abs=1e-4))


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_a_rate_is_a_share(rate: float) -> None:
    with pytest.raises(DataError, match="is a share"):
        impostor_tail([0.1, 0.2]).threshold(rate)
