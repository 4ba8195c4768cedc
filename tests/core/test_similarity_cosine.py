"""Unit vectors and cosines."""

import numpy as np
import pytest

from pipeline_lib.core.cosine import cosine, unit
from pipeline_lib.core.errors import DataError


def test_golden():
    assert unit([[3.0, 4.0]]).tolist() == [[np.float32(0.6), np.float32(0.8)]]
    found = cosine([[3.0, 4.0], [1.0, 0.0], [1.0, 1.0]], [[4.0, 3.0], [0.0, 2.0], [-2.0, -2.0]])
    np.testing.assert_allclose(found, [0.96, 0.0, -1.0], rtol=0, atol=1e-7)  # one float32 rounding
    assert found.dtype == np.float32


def test_lengths_do_not_matter_even_where_float32_squares_would_overflow_or_vanish():
    a, b = np.array([[1.0, 2.0, 2.0]], np.float32), np.array([[2.0, 1.0, 2.0]], np.float32)
    for factor in (1e-25, 1e25):
        np.testing.assert_allclose(cosine(a * np.float32(factor), b), 8 / 9, rtol=0, atol=1e-6)


def test_any_number_of_leading_axes():
    features = np.random.default_rng(0).normal(size=(4, 3, 8)).astype(np.float32)
    assert cosine(features, features).shape == (4, 3)
    np.testing.assert_allclose(cosine(features, features), 1.0, rtol=0, atol=1e-6)  # 8 float32 products
    assert cosine(features[:0], features[:0]).shape == (0, 3)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_vectors_without_direction_are_refused_by_row(bad):
    vectors = np.ones((3, 2), np.float32)
    vectors[1] = bad
    with pytest.raises(DataError, match=r"rows \[\(1,\)\]"):
        unit(vectors)


def test_shapes_that_differ_are_refused():
    with pytest.raises(DataError, match="differ in shape"):
        cosine(np.ones((2, 3)), np.ones((2, 4)))
