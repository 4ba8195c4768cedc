"""The exact top k: against a full stable sort, with ties, exclusions and many references."""

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.top_k import top_k


def small_integers(num: int, dim: int, seed: int) -> np.ndarray:
    """Products of small integers are exact in float32, so equal scores are equal whatever the order of the sums."""
    return np.random.default_rng(seed).integers(-2, 3, size=(num, dim)).astype(np.float32)


@pytest.mark.parametrize("k", [1, 3, 57, 58])
@pytest.mark.parametrize("num_queries", [1, 19, 40])  # faiss takes another way from 20 queries on
@pytest.mark.parametrize("exclude", [False, True])
def test_equals_a_full_stable_sort(k: int, num_queries: int, exclude: bool) -> None:
    queries, references = small_integers(num_queries, 4, 0), small_integers(59, 4, 1)
    excluded = np.random.default_rng(2).integers(-1, 59, size=num_queries) if exclude else None
    rows, scores = top_k(queries, references, k, excluded)
    for query, vector in enumerate(queries):
        products = references @ vector
        order = np.argsort(-products, kind="stable").tolist()
        if excluded is not None and excluded[query] >= 0:
            order.remove(excluded[query])
        assert rows[query].tolist() == order[:k]
        assert scores[query].tolist() == products[order[:k]].tolist()


@pytest.mark.parametrize("num_queries", [1, 30])
def test_ties_at_the_last_place_are_the_first_references(num_queries: int) -> None:
    references = np.ones((5000, 2), np.float32)
    references[4000] = 2.0
    rows, _ = top_k(np.ones((num_queries, 2), np.float32), references, 5)
    assert rows.tolist() == [[4000, 0, 1, 2, 3]] * num_queries
    own = np.arange(num_queries)
    rows, _ = top_k(np.ones((num_queries, 2), np.float32), references, 2, own)
    assert rows.tolist() == [[4000, 1 if query == 0 else 0] for query in own]


def test_more_than_a_block_of_references_and_no_queries() -> None:
    rng = np.random.default_rng(3)
    queries, references = rng.normal(size=(50, 16)).astype(np.float32), rng.normal(size=(20000, 16)).astype(np.float32)
    rows, scores = top_k(queries, references, 10)
    products = queries.astype(np.float64) @ references.T.astype(np.float64)
    np.testing.assert_array_equal(rows, np.argsort(-products, axis=1)[:, :10])
    np.testing.assert_allclose(scores, np.sort(products, axis=1)[:, :-11:-1], rtol=1e-5)  # float32 sums of 16
    assert top_k(queries[:0], references, 10)[0].shape == (0, 10)


def test_what_does_not_fit_is_refused() -> None:
    vectors = np.ones((3, 2), np.float32)
    with pytest.raises(DataError, match="differ"):
        top_k(vectors, np.ones((3, 4), np.float32), 1)
    for k in (0, 4):
        with pytest.raises(DataError, match=r"too few[\s\S]*1\.\.3"):
            top_k(vectors, vectors, k)
    with pytest.raises(DataError, match=r"too few[\s\S]*1\.\.2"):
        top_k(vectors, vectors, 3, np.array([-1, 0, -1]))
