"""The largest inner products of some vectors with many: exact, in blocks, by faiss."""

import logging

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.cosine import Floats
from pipeline_lib.core.errors import DataError

Indices = npt.NDArray[np.int64]
NO_EXCLUSION = -1


def top_k(queries: Floats, references: Floats, k: int, excluded: Indices | None = None) -> tuple[Indices, Floats]:
    """The k references of the largest inner product with each query.

    faiss.IndexFlatIP works through blocks of both, so the scores of all pairs are never held at once. Equal scores come in
    the order of the references, also where they tie at rank k; scores of equal vectors may differ in the last bit where
    they fall into different blocks.

    Args:
        queries: float32 (Q, D), finite.
        references: float32 (R, D), finite.
        k: how many for each query, 1 <= k <= the number of references that every query may find.
        excluded: int64 (Q,), one reference that each query must not find (itself); -1 for none.

    Returns:
        int64 (Q, k) references, best first, and float32 (Q, k) products.

    Raises:
        DataError: shapes do not fit, or there are fewer references than k.
    """
    if queries.ndim != 2 or references.ndim != 2 or queries.shape[1] != references.shape[1]:
        got = f"{queries.shape}, {references.shape}"
        raise DataError("Vectors to search and to be found differ.", got=got, allowed="(Q, D), (R, D)")
    num_hidden = int(excluded is not None and bool((excluded != NO_EXCLUSION).any()))
    if not 1 <= k <= len(references) - num_hidden:
        raise DataError(
            "There are too few vectors to find.", got=f"k {k}", allowed=f"1..{len(references) - num_hidden}"
        )
    logging.getLogger("faiss.loader").setLevel(logging.WARNING)  # it tells which build it tried
    import faiss  # 0.1 s that a stage without a search does not pay

    index = faiss.IndexFlatIP(references.shape[1])
    index.add(np.ascontiguousarray(references, np.float32))
    rows, scores = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    todo = np.arange(len(queries))
    width = k + num_hidden + 1  # the one after the last says whether the last ties
    while len(todo):
        width = min(width, len(references))
        products, found = index.search(np.ascontiguousarray(queries[todo], np.float32), width)
        if excluded is not None:
            products[found == excluded[todo, None]] = -np.inf
        order = np.lexsort((found, -products), axis=1)  # faiss leaves the order of equal products open
        products, found = np.take_along_axis(products, order, axis=1), np.take_along_axis(found, order, axis=1)
        rows[todo], scores[todo] = found[:, :k], products[:, :k]
        # faiss also leaves open which of the references that tie at its last place it returns: those queries look further.
        last = products[:, width - 1 - num_hidden]
        todo = todo[products[:, k - 1] == last] if width < len(references) else todo[:0]
        width *= 2
    return rows, scores
