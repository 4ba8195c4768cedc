"""Stage 1 of identification: the cosine of a query with the whole gallery, the best k kept."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
NO_EXCLUSION = -1


def search(
    queries: Floats, gallery: Floats, k: int, excluded: Indices | None = None, block_rows: int = 16384
) -> tuple[Indices, Floats]:
    """Rank the gallery by its cosine with each query.

    Queries and gallery are taken block by block, so memory holds at most block_rows² / 64 scores at a time; the result
    does not depend on the blocks, except that equal scores computed in different blocks may differ in the last bit.

    Args:
        queries: float32 (Q, D), any length > 0, finite.
        gallery: float32 (G, D), likewise.
        k: how many to keep for each query, 1 <= k <= the number of gallery rows that a query may find.
        excluded: int64 (Q,), one gallery row each query must not find (same-set mode: itself); -1 for none.
        block_rows: gallery rows a block.

    Returns:
        int64 (Q, k) gallery rows, best first, and float32 (Q, k) cosines. Equal cosines: the lower row first.

    Raises:
        DataError: shapes do not fit, a vector is not finite or has length 0, or the gallery has fewer than k rows.
    """
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise DataError(
            "Queries and gallery differ.", got=f"{queries.shape}, {gallery.shape}", allowed="(Q, D), (G, D)"
        )
    findable = len(gallery) - (excluded is not None and bool((excluded != NO_EXCLUSION).any()))
    if not 1 <= k <= findable:
        raise DataError("The gallery is too small for k candidates.", got=f"k {k}", allowed=f"1..{findable}")
    unit_queries, unit_gallery = _unit(queries, "query"), _unit(gallery, "gallery image")
    best, scores = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    block_queries = max(1, block_rows // 64)
    for first in range(0, len(queries), block_queries):
        rows = slice(first, first + block_queries)
        hidden = None if excluded is None else excluded[rows]
        best[rows], scores[rows] = _search_block(unit_queries[rows], unit_gallery, k, hidden, block_rows)
    return best, scores


def best_k(scores: Floats, k: int) -> Indices:
    """Columns of the k largest scores of each row, largest first, equal ones in the order of their columns.

    Args:
        scores: float32 (R, n), no NaN.
        k: 1 <= k <= n.

    Returns:
        int64 (R, k).
    """
    num_columns = scores.shape[1]
    if k == num_columns:
        return np.argsort(-scores, axis=1, kind="stable")
    # argpartition alone would pick any of the scores that tie at rank k; everything from the k-th value on is sorted.
    kth = np.partition(scores, num_columns - k, axis=1)[:, num_columns - k]
    chosen = np.empty((len(scores), k), np.int64)
    for row, (values, least) in enumerate(zip(scores, kth, strict=True)):
        columns = np.flatnonzero(values >= least)
        chosen[row] = columns[np.argsort(-values[columns], kind="stable")[:k]]
    return chosen


def _search_block(
    queries: Floats, gallery: Floats, k: int, excluded: Indices | None, block_rows: int
) -> tuple[Indices, Floats]:
    rows, scores = np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
    for first in range(0, len(gallery), block_rows):
        block = queries @ gallery[first : first + block_rows].T
        if excluded is not None:
            inside = np.flatnonzero((excluded >= first) & (excluded < first + block.shape[1]))
            block[inside, excluded[inside] - first] = -np.inf
        # Rows found earlier have lower numbers and stand to the left: the stable order holds across blocks.
        columns = np.arange(first, first + block.shape[1])
        rows = np.concatenate([rows, np.broadcast_to(columns, block.shape)], axis=1)
        scores = np.concatenate([scores, block], axis=1)
        chosen = best_k(scores, min(k, scores.shape[1]))
        rows, scores = np.take_along_axis(rows, chosen, axis=1), np.take_along_axis(scores, chosen, axis=1)
    return rows, scores


def _unit(vectors: Floats, what: str) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    broken = np.flatnonzero(~(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)))
    if len(broken):
        raise DataError(f"A {what}'s embedding has no direction.", got=f"row {broken[0]}", allowed="finite, length > 0")
    unit: Floats = vectors / lengths
    return unit
