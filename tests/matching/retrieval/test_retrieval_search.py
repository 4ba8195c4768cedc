"""Stage 1: against plain loops, with ties and exclusions."""

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.retrieval.search import search
from tests.oracles.retrieval_loops import ranked


def whole_numbers(seed: int, num: int, dim: int = 3) -> np.ndarray:
    """Vectors of small integers: many of equal direction, so many exact ties."""
    vectors = np.random.default_rng(seed).integers(-2, 3, size=(num, dim)).astype(np.float32)
    vectors[:, 0] = np.abs(vectors[:, 0]) + 1
    return vectors


def test_search_equals_the_loops() -> None:
    rng = np.random.default_rng(1)
    queries, gallery = rng.normal(size=(9, 8)).astype(np.float32), rng.normal(size=(40, 8)).astype(np.float32)
    excluded = rng.integers(-1, 40, size=9)
    found, cosines = search(queries, gallery, 10, excluded)
    for row in range(9):
        assert found[row].tolist() == ranked(queries[row].tolist(), gallery.tolist(), 10, int(excluded[row]))
    assert (np.diff(cosines, axis=1) <= 0).all()
    unit = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (queries, gallery)]
    expected = np.take_along_axis(unit[0] @ unit[1].T, found, axis=1)
    np.testing.assert_allclose(cosines, expected, atol=1e-6)  # float32 products of unit vectors


def test_equal_gallery_images_come_in_their_order() -> None:
    gallery = np.tile(np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), (6, 1))
    found, _ = search(np.array([[1.0, 0.0]], np.float32), gallery, 8)
    assert found[0].tolist() == [0, 2, 4, 6, 8, 10, 1, 3]


def test_an_excluded_image_is_never_found() -> None:
    gallery = whole_numbers(3, 12)
    found, cosines = search(gallery, gallery, 11, np.arange(12))
    assert all(row not in found[row] for row in range(12))
    assert np.isfinite(cosines).all()


@pytest.mark.parametrize("k", [0, 12])
def test_more_candidates_than_there_are_is_an_error(k: int) -> None:
    gallery = whole_numbers(3, 12)
    with pytest.raises(DataError, match="too few"):
        search(gallery, gallery, k, np.arange(12))


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_vector_without_direction_is_an_error(value: float) -> None:
    gallery = whole_numbers(3, 5)
    broken = gallery.copy()
    broken[3] = value
    with pytest.raises(DataError, match=r"gallery image's[\s\S]*rows \[\(3,\)\]"):
        search(gallery, broken, 2)
    with pytest.raises(DataError, match=r"query's[\s\S]*rows \[\(3,\)\]"):
        search(broken, gallery, 2)


def test_other_lengths_are_an_error() -> None:
    with pytest.raises(DataError, match="differ"):
        search(np.ones((2, 3), np.float32), np.ones((2, 4), np.float32), 1)
