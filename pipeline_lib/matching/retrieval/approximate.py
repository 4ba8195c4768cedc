"""Stage 1 of a large gallery: an index that looks at a part of it, and how much of the exact answer it finds."""

import logging
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from pipeline_lib.core.cosine import Floats
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.top_k import NO_EXCLUSION, Indices, top_k

Approximate = Literal["hnsw", "ivf"]
Found = tuple[Indices, Floats]
HNSW_LINKS, HNSW_BUILD_WIDTH, HNSW_MIN_WIDTH = 32, 40, 256
IVF_LISTS_PER_ROOT, IVF_IMAGES_A_LIST, IVF_PROBED_SHARE = (
    4,
    39,
    1 / 32,
)  # below 39 images a list faiss warns of poor centres
MAX_CHECKED = 200  # queries that recall is measured on


def search_approximately(
    index: Approximate, queries: Floats, gallery: Floats, k: int, excluded: Indices | None = None
) -> Found:
    """As core.top_k.top_k, of unit vectors, by an index that does not look at all of them.

    hnsw: a graph of 32 links an image (Malkov and Yashunin 2018), searched with a list of max(256, 2 k). Built by one thread:
    the links that several would find depend on who is first. ivf: 4 sqrt(G) lists around the centres of k-means (faiss' own
    seed), at most one for 39 images, of which a query reads the nearest 32nd part, at least 8. Both answer alike from run to
    run. A query for which the index finds fewer than k is searched exactly.

    Args:
        queries: float32 (Q, D), unit length.
        gallery: float32 (G, D), unit length.
        k, excluded: as top_k has them.

    Returns:
        int64 (Q, k) gallery rows, best first, equal ones in their order; float32 (Q, k) cosines.

    Raises:
        DataError: as top_k.
    """
    num_hidden = _num_hidden(excluded)
    if not 1 <= k <= len(gallery) - num_hidden:
        raise DataError("There are too few vectors to find.", got=f"k {k}", allowed=f"1..{len(gallery) - num_hidden}")
    return find(build_index(index, gallery, k + num_hidden), queries, gallery, k, excluded)


def build_index(index: Approximate, gallery: Floats, most: int) -> Any:
    """An index of faiss over the gallery (G, D) for searches of up to `most` images a query."""
    return BUILDERS[index](_faiss(), np.ascontiguousarray(gallery, np.float32), most)


def find(built: Any, queries: Floats, gallery: Floats, k: int, excluded: Indices | None = None) -> Found:
    """search_approximately by an index that build_index built."""
    products, found = built.search(np.ascontiguousarray(queries, np.float32), k + _num_hidden(excluded))
    hidden = found < 0
    if excluded is not None:
        hidden |= found == excluded[:, None]
    products = np.where(hidden, -np.inf, products).astype(np.float32)
    order = np.lexsort((found, -products), axis=1)[:, :k]
    rows, cosines = np.take_along_axis(found, order, axis=1), np.take_along_axis(products, order, axis=1)
    short = np.flatnonzero(np.isinf(cosines).any(axis=1))
    if len(short):
        rows[short], cosines[short] = top_k(queries[short], gallery, k, None if excluded is None else excluded[short])
    return rows, cosines


def recall(found: Indices, queries: Floats, gallery: Floats, excluded: Indices | None = None) -> float:
    """The share of the exact first k that was found, over at most 200 queries, evenly spaced among all.

    Args:
        found: int64 (Q, k) gallery rows, of unit `queries` (Q, D) in the unit `gallery` (G, D).
        excluded: as search_approximately had it.
    """
    checked = np.unique(np.linspace(0, len(queries) - 1, min(len(queries), MAX_CHECKED)).astype(np.int64))
    k = found.shape[1]
    exact, _ = top_k(queries[checked], gallery, k, None if excluded is None else excluded[checked])
    num_hits = sum(len(np.intersect1d(*each)) for each in zip(found[checked], exact, strict=True))
    return num_hits / exact.size


def _hnsw(faiss: Any, gallery: Floats, k: int) -> Any:
    index = faiss.IndexHNSWFlat(gallery.shape[1], HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = HNSW_BUILD_WIDTH
    index.hnsw.efSearch = max(HNSW_MIN_WIDTH, 2 * k)
    num_threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        index.add(gallery)
    finally:
        faiss.omp_set_num_threads(num_threads)
    return index


def _ivf(faiss: Any, gallery: Floats, k: int) -> Any:
    num, dim = gallery.shape
    num_lists = max(1, min(int(IVF_LISTS_PER_ROOT * np.sqrt(num)), num // IVF_IMAGES_A_LIST))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, num_lists, faiss.METRIC_INNER_PRODUCT)
    index.train(gallery)
    index.add(gallery)
    index.nprobe = min(num_lists, max(8, int(num_lists * IVF_PROBED_SHARE)))
    return index


def _num_hidden(excluded: Indices | None) -> int:
    return int(excluded is not None and bool((excluded != NO_EXCLUSION).any()))


def _faiss() -> Any:
    logging.getLogger("faiss.loader").setLevel(logging.WARNING)  # it tells which build it tried
    import faiss  # 0.1 s that a stage without a search does not pay

    return faiss


BUILDERS: dict[str, Callable[[Any, Floats, int], Any]] = {"hnsw": _hnsw, "ivf": _ivf}
