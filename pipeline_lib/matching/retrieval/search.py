"""Stage 1 of identification: the cosine of a query with the whole gallery, the best k kept."""

from pipeline_lib.core.cosine import Floats, unit
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.top_k import Indices, top_k


def search(queries: Floats, gallery: Floats, k: int, excluded: Indices | None = None) -> tuple[Indices, Floats]:
    """Rank the gallery by its cosine with each query.

    Args:
        queries: float32 (Q, D), any length > 0, finite.
        gallery: float32 (G, D), likewise.
        k: how many to keep for each query, 1 <= k <= the number of gallery rows that a query may find.
        excluded: int64 (Q,), one gallery row each query must not find (same-set mode: itself); -1 for none.

    Returns:
        int64 (Q, k) gallery rows, best first, and float32 (Q, k) cosines. Equal cosines: the lower row first (top_k).

    Raises:
        DataError: shapes do not fit, a vector is not finite or has length 0, or the gallery has fewer than k rows.
    """
    return top_k(_unit(queries, "query"), _unit(gallery, "gallery image"), k, excluded)


def _unit(vectors: Floats, what: str) -> Floats:
    try:
        return unit(vectors)
    except DataError as error:
        raise DataError(f"A {what}'s embedding has no direction.", got=error) from error
