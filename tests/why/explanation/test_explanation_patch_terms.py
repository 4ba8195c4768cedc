"""Eq. 8: by hand, against loops, and that every sum is the cosine."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.patches.grid import layout_positions
from pipeline_lib.why.explanation.shared.patch_terms import contribution_matrix, patch_contributions, pixel_map


def boxes(size_px: int, layout: str) -> np.ndarray:
    positions = layout_positions(size_px, layout)
    return np.concatenate([positions, np.full_like(positions, size_px)], axis=1)


def cosine(f_a: np.ndarray, f_b: np.ndarray) -> float:
    a, b = f_a.astype(np.float64).mean(axis=0), f_b.astype(np.float64).mean(axis=0)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def test_contributions_worked_by_hand() -> None:
    # F^A = (2, 0), F^B = (1, 1), K = 2: terms f_i·f_j / (4 · 2 · √2).
    f_a, f_b = np.array([[4.0, 0.0], [0.0, 0.0]]), np.array([[2.0, 0.0], [0.0, 2.0]])
    terms = contribution_matrix(f_a, f_b)
    np.testing.assert_allclose(terms, [[1 / np.sqrt(2), 0.0], [0.0, 0.0]], atol=1e-15)
    c_a, c_b = patch_contributions(terms)
    np.testing.assert_allclose(c_a, [1 / np.sqrt(2), 0.0], atol=1e-15)
    np.testing.assert_allclose(c_b, [1 / np.sqrt(2), 0.0], atol=1e-15)


def test_terms_equal_the_loops_of_eq_8() -> None:
    rng = np.random.default_rng(0)
    f_a, f_b = rng.normal(size=(5, 7)), rng.normal(size=(5, 7))
    bottom = sum(x @ y for x in f_a for y in f_a) ** 0.5 * sum(x @ y for x in f_b for y in f_b) ** 0.5
    expected = [[float(x @ y) / bottom for y in f_b] for x in f_a]
    np.testing.assert_allclose(contribution_matrix(f_a, f_b), expected, rtol=1e-12)  # float64


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 49), st.integers(2, 64), st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]))
def test_every_sum_is_the_cosine(num_patches: int, dim: int, seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    # A common part keeps the means away from 0, where no sum of terms that are larger than it could be exact.
    f_a, f_b = ((rng.normal(size=(num_patches, dim)) + 1.0).astype(dtype) for _ in range(2))
    terms = contribution_matrix(f_a, f_b)
    c_a, c_b = patch_contributions(terms)
    for total in (terms.sum(), c_a.sum(), c_b.sum()):
        # Both sides are float64, whatever the features: 1e-12 covers the rounding of 49² terms.
        assert total == pytest.approx(cosine(f_a, f_b), abs=1e-12)


def test_float32_features_explain_a_float32_cosine() -> None:
    rng = np.random.default_rng(1)
    f_a, f_b = ((rng.normal(size=(33, 512)) + 0.3).astype(np.float32) for _ in range(2))
    a, b = f_a.mean(axis=0), f_b.mean(axis=0)
    served = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    # The served cosine is rounded in float32: 512 products and two norms, each to 6e-8.
    assert contribution_matrix(f_a, f_b).sum() == pytest.approx(served, abs=2e-6)


@pytest.mark.parametrize(
    ("size_px", "layout"), [(28, "no_corners33"), (28, "all49"), (56, "cross5"), (56, "all9"), (56, "corners4")]
)
def test_the_pixel_map_sums_to_the_cosine(size_px: int, layout: str) -> None:
    grid = boxes(size_px, layout)
    rng = np.random.default_rng(2)
    f_a, f_b = (rng.normal(size=(len(grid), 16)) + 1.0 for _ in range(2))
    for contributions in patch_contributions(contribution_matrix(f_a, f_b)):
        saliency = pixel_map(contributions, grid)
        assert saliency.sum() == pytest.approx(cosine(f_a, f_b), abs=1e-12)  # float64 sums of 12,544 pixels


def test_overlaps_add_and_unseen_pixels_are_zero() -> None:
    saliency = pixel_map(np.array([8.0, 4.0]), np.array([[0, 0, 2, 2], [1, 1, 2, 2]]), size=4)
    np.testing.assert_array_equal(saliency, [[2, 2, 0, 0], [2, 3, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]])


def test_swapping_the_images_transposes_the_terms() -> None:
    rng = np.random.default_rng(3)
    f_a, f_b = rng.normal(size=(4, 6)), rng.normal(size=(4, 6))
    np.testing.assert_allclose(contribution_matrix(f_b, f_a), contribution_matrix(f_a, f_b).T, rtol=1e-12)  # float64


def test_features_that_cannot_be_explained_are_errors() -> None:
    good = np.ones((3, 2))
    for bad, message in (
        (np.ones((4, 2)), "one shape"),
        (np.ones(3), "one shape"),
        (np.array([[1.0, 1.0], [np.nan, 1.0], [1.0, 1.0]]), "not finite"),
        (np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]]), "length 0"),
    ):
        with pytest.raises(DataError, match=message):
            contribution_matrix(good, bad)
    with pytest.raises(DataError, match="one shape"):
        contribution_matrix(np.ones((0, 2)), np.ones((0, 2)))


def test_boxes_outside_the_image_are_errors() -> None:
    for box in ([-1, 0, 2, 2], [111, 0, 2, 2], [0, 0, 0, 2]):
        with pytest.raises(DataError, match="leaves the image"):
            pixel_map(np.ones(1), np.array([box]))
    with pytest.raises(DataError, match="one box"):
        pixel_map(np.ones(2), np.array([[0, 0, 2, 2]]))
