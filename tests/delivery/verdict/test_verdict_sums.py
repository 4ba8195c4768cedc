"""Terms as whole numbers: by hand, and that every way of adding them gives the same digits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.delivery.verdict.sums import Part, Sums, sums_of

EYES = {"x": 28, "y": 0, "w": 56, "h": 56}
MOUTH = {"x": 28, "y": 56, "w": 56, "h": 56}


def test_by_hand() -> None:
    """Of four decimals these are 1234.4, 1000.3, -0.1 and 0.41 units, together 2235.01.

    Rounded down they are 1234, 1000, -1 and 0, together 2233; the two with the largest remainders, .9 and .41, go up.
    """
    found = sums_of([[0.12344, 0.10003], [-0.00001, 0.000041]], [EYES, MOUTH])
    assert found.decimals == 4
    assert found.terms.tolist() == [[1234, 1000], [0, 1]]
    assert (found.of("a").tolist(), found.of("b").tolist(), found.total) == ([2234, 1], [1234, 1001], 2235)
    assert found.printed(found.total) == "+0.2235"
    assert found.printed(-1) == "-0.0001"


def test_parts_are_sorted_and_begin_where_the_one_before_ended() -> None:
    found = Sums(
        4, np.array([[-30, 10, 0], [50, 20, 0], [0, 0, 5]]), [(28, 0, 56, 56), (28, 56, 56, 56), (28, 0, 56, 56)]
    )
    assert found.parts("a") == [
        Part("nose, mouth and chin", (1,), 70, 0),
        Part("forehead and both eyes", (0, 2), -15, 70),
    ]
    assert found.parts("b") == [
        Part("nose, mouth and chin", (1,), 30, 0),
        Part("forehead and both eyes", (0, 2), 25, 30),
    ]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.floats(-1.0, 1.0), st.integers(0, 2**32 - 1))
def test_digits_add_up_and_stay_near_the_terms(num_patches: int, score: float, seed: int) -> None:
    terms = np.random.default_rng(seed).normal(size=(num_patches, num_patches)) / num_patches**2
    terms += (score - terms.sum()) / terms.size
    found = sums_of(terms.tolist(), [EYES] * num_patches)
    unit = 10.0**-found.decimals
    assert found.total == pytest.approx(score / unit, abs=0.5 + 1e-6)
    assert found.of("a").sum() == found.of("b").sum() == found.total
    assert sum(part.units for part in found.parts("a")) == found.total
    assert np.abs(found.terms - terms / unit).max() < 1.0 + 1e-6  # float64 of 1e5 units
    assert unit <= 0.1 / num_patches**2 or found.decimals == 7
