"""Stage 1 of identification: the cosine of a query with the whole gallery, the best k kept."""

from typing import Literal

from pipeline_lib.core.cosine import Floats, unit
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.top_k import Indices, top_k
from pipeline_lib.matching.retrieval.approximate import recall, search_approximately

Index = Literal["exact", "hnsw", "ivf"]


def search(
    queries: Floats, gallery: Floats, k: int, excluded: Indices | None = None, index: Index = "exact"
) -> tuple[Indices, Floats]:
    """Rank the gallery by its cosine with each query.

    Args:
        queries: float32 (Q, D), any length > 0, finite.
        gallery: float32 (G, D), likewise.
        k: how many to keep for each query, 1 <= k <= the number of gallery rows that a query may find.
        excluded: int64 (Q,), one gallery row each query must not find (same-set mode: itself); -1 for none.
        index: exact, or one that looks at a part of the gallery (approximate.search_approximately).

    Returns:
        int64 (Q, k) gallery rows, best first, and float32 (Q, k) cosines. Equal cosines: the lower row first (top_k).

    Raises:
        DataError: shapes do not fit, a vector is not finite or has length 0, or the gallery has fewer than k rows.
    """
    asked, there = _unit(queries, "query"), _unit(gallery, "gallery image")
    if index == "exact":
        return top_k(asked, there, k, excluded)
    return search_approximately(index, asked, there, k, excluded)


def search_recall(found: Indices, queries: Floats, gallery: Floats, excluded: Indices, index: Index) -> float:
    """The share of the exact answer that `search` found, in [0, 1]; of an approximate index over at most 200 queries."""
    return 1.0 if index == "exact" else recall(found, unit(queries), unit(gallery), excluded)


def _unit(vectors: Floats, what: str) -> Floats:
    try:
        return unit(vectors)
    except DataError as error:
        raise DataError(f"A {what}'s embedding has no direction.", got=error) from error
