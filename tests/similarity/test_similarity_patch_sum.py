"""RRFNet's sum over patch pairs."""

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.similarity.patch_sum import patch_sum


def test_golden_two_patches():
    # F_A = (1/2, 1/2), F_B = (1, 0): the four products are 1, 1, 0, 0 -> 2 / (4 · √½ · 1) = 1/√2.
    a, b = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [1.0, 0.0]])
    assert patch_sum(a, b) == pytest.approx(2**-0.5, abs=1e-7)  # float32


def test_order_of_patches_and_lengths_of_images_do_not_matter():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 7, 16))
    expected = patch_sum(a, b)
    assert expected.shape == (5,)
    np.testing.assert_allclose(patch_sum(3 * a[:, ::-1], b), expected, rtol=0, atol=1e-6)  # float32 sums
    np.testing.assert_allclose(patch_sum(b, a), expected, rtol=0, atol=1e-6)


def test_refusals():
    ones = np.ones((2, 3, 4))
    with pytest.raises(DataError, match="differ in shape"):
        patch_sum(ones, ones[:, :2])
    with pytest.raises(DataError, match="differ in shape"):
        patch_sum(ones[:, :0], ones[:, :0])
    with pytest.raises(DataError, match="zero"):
        patch_sum(np.stack([ones[:, 0], -ones[:, 0]], axis=1), ones[:, :2])
    with pytest.raises(DataError, match="NaN"):
        patch_sum(ones * np.nan, ones)
