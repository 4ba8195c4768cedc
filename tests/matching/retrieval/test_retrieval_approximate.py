"""Approximate stage 1: nearly the exact answer, the same one twice, and never the query itself."""

from unittest import mock

import numpy as np
import pytest

from pipeline_lib.core.cosine import unit
from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.retrieval import approximate
from pipeline_lib.matching.retrieval.approximate import recall, search_approximately
from pipeline_lib.matching.retrieval.search import search, search_recall

INDICES = ("hnsw", "ivf")
NUM_PEOPLE, IMAGES_EACH = 80, 10


def faces(seed: int = 0) -> np.ndarray:
    """800 images, whose cosines within a person are 0.8 and between people 0."""
    rng = np.random.default_rng(seed)
    people = np.repeat(rng.normal(size=(NUM_PEOPLE, 32)), IMAGES_EACH, axis=0)
    return unit(people + 0.5 * rng.normal(size=people.shape))


@pytest.mark.parametrize("index", INDICES)
def test_an_index_finds_each_person_s_other_images_and_gives_their_cosines(index: str) -> None:
    gallery = faces()
    asked = np.arange(0, len(gallery), 7)
    found, cosines = search_approximately(index, gallery[asked], gallery, 9, asked)
    assert recall(found, gallery[asked], gallery, asked) > 0.98
    assert (found != asked[:, None]).all()
    assert all(len(set(row)) == 9 for row in found.tolist())
    expected = np.einsum("qd,qkd->qk", gallery[asked], gallery[found])
    np.testing.assert_allclose(cosines, expected, atol=1e-6)  # float32 products
    assert (np.diff(cosines, axis=1) <= 0).all()


@pytest.mark.parametrize("index", INDICES)
def test_the_same_search_answers_alike(index: str) -> None:
    gallery, queries = faces(), faces(1)[:40]
    first, second = (search_approximately(index, queries, gallery, 20) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


@pytest.mark.parametrize("index", INDICES)
def test_what_an_index_does_not_find_is_searched_exactly(index: str) -> None:
    gallery = faces()
    own = np.where(np.arange(30) % 2, np.arange(30), -1)
    everything = len(gallery) - 1
    found, cosines = search_approximately(index, gallery[:30], gallery, everything, own)
    exact, expected = search(gallery[:30], gallery, everything, own)
    if index == "ivf":  # 8 of 20 lists never hold all
        np.testing.assert_array_equal(found, exact)
    assert (np.sort(found, axis=1)[:, 1:] != np.sort(found, axis=1)[:, :-1]).all()
    assert np.isfinite(cosines).all()
    assert recall(found, gallery[:30], gallery, own) == pytest.approx(1.0, abs=0.01)
    np.testing.assert_allclose(cosines[:, :5], expected[:, :5], atol=1e-6)


def test_equal_images_come_in_their_order() -> None:
    gallery = unit(np.tile(np.eye(4, dtype=np.float32), (12, 1)))
    for index in INDICES:
        found, _ = search_approximately(index, gallery[:1], gallery, 12)
        assert found[0].tolist() == list(range(0, 48, 4))


def test_recall_by_hand() -> None:
    gallery = unit(np.array([[1, 0], [1, 0.1], [1, 0.2], [0, 1]], np.float32))
    queries = gallery[[0, 3]]
    # The exact first two: 0 and 1 of the first query, 3 and 2 of the second.
    assert recall(np.array([[0, 2], [3, 2]]), queries, gallery) == 0.75
    assert recall(np.array([[1, 0], [2, 3]]), queries, gallery) == 1.0
    own = np.array([0, 3])
    assert recall(np.array([[1, 2], [1, 0]]), queries, gallery, own) == 0.75


def test_recall_looks_at_two_hundred_queries() -> None:
    gallery = faces()
    found, _ = search(gallery, gallery, 3)
    with mock.patch.object(approximate, "top_k", wraps=approximate.top_k) as exact:
        assert search_recall(found, gallery, gallery, np.full(len(gallery), -1), "hnsw") == 1.0
        assert len(exact.call_args.args[0]) == 200
        assert search_recall(found, gallery, gallery, np.full(len(gallery), -1), "exact") == 1.0
        assert exact.call_count == 1


@pytest.mark.parametrize("index", INDICES)
def test_one_image_may_be_the_whole_gallery_and_none_may_not(index: str) -> None:
    one = faces()[:1]
    assert search_approximately(index, one, one, 1)[0].tolist() == [[0]]
    with pytest.raises(DataError, match="too few"):
        search_approximately(index, one, one, 1, np.array([0]))


def test_building_leaves_the_number_of_threads_as_it_was() -> None:
    import faiss

    before = faiss.omp_get_max_threads()
    search_approximately("hnsw", faces()[:5], faces(), 3)
    assert faiss.omp_get_max_threads() == before
