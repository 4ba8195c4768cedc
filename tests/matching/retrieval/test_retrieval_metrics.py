"""P@1, RP and MAP@R: by hand, against loops, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.retrieval.metrics import precisions
from tests.oracles.retrieval_loops import metrics


def test_metrics_worked_by_hand() -> None:
    # R = 3: hits at ranks 1 and 3 of the first 3 -> P@1 1, RP 2/3, MAP@R (1 + 2/3)/3. R = 2: hit at rank 2 and, too late,
    # at 3 -> P@1 0, RP 1/2, MAP@R (1/2)/2. R = 0: left out.
    relevant = np.array([[1, 0, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0]], dtype=bool)
    found = precisions(relevant, np.array([3, 2, 0]))
    np.testing.assert_allclose(found.p_at_1, [1, 0, np.nan])
    np.testing.assert_allclose(found.rp, [2 / 3, 1 / 2, np.nan])
    np.testing.assert_allclose(found.map_at_r, [5 / 9, 1 / 4, np.nan])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_metrics_equal_the_loops(data: st.DataObject) -> None:
    num, depth = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 7))
    lists = data.draw(st.lists(st.lists(st.booleans(), min_size=depth, max_size=depth), min_size=num, max_size=num))
    totals = [data.draw(st.integers(sum(hits), depth)) for hits in lists]
    if not any(totals):
        return
    found, expected = precisions(np.array(lists), np.array(totals)), metrics(lists, totals)
    known = np.array(totals) > 0
    for name in ("p_at_1", "rp", "map_at_r"):
        values = getattr(found, name)
        assert values[known].mean() == pytest.approx(expected[name])
        assert np.isnan(values[~known]).all()
    assert (found.map_at_r <= found.rp + 1e-12)[known].all()  # precision at a hit is at most 1; 1e-12 for rounding


def test_a_perfect_list_scores_one_and_an_empty_one_zero() -> None:
    perfect = precisions(np.array([[True, True, False]]), np.array([2]))
    assert (perfect.p_at_1, perfect.rp, perfect.map_at_r) == (1.0, 1.0, 1.0)
    worst = precisions(np.array([[False, False, True]]), np.array([2]))
    assert (worst.p_at_1, worst.rp, worst.map_at_r) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("relevant", "num_relevant", "message"),
    [
        ([[True, False]], [3], "too short"),
        ([[True, True]], [1], "more relevant"),
        ([[False, False]], [0], "No query"),
        ([[False, False]], [1, 1], "number of relevant"),
    ],
)
def test_lists_that_cannot_be_measured_are_errors(relevant: list, num_relevant: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        precisions(np.array(relevant), np.array(num_relevant))
