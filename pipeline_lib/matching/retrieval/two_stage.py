"""Identification in two stages: the whole gallery by cosine, the best of it again by a comparison of places."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.progress import track
from pipeline_lib.core.texts import MISSING, Texts, as_texts
from pipeline_lib.core.top_k import NO_EXCLUSION
from pipeline_lib.matching.rerankers.shared.reranker import Compared, PatchFaces, Reranker
from pipeline_lib.matching.retrieval.rerank import blended_scores, reranked_order
from pipeline_lib.matching.retrieval.search import Index, search, search_recall

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Faces:
    """Queries or gallery, N images.

    Attributes:
        keys: unique names, for error messages and tables.
        image_ids: the aligned image each was made from; an occluded image has that of its original.
        identities: who it is.
        vectors: float32 (N, D), which stage 1 takes cosines of.
        patches: from rows, int64 (n,), to what stage 2 compares; called by threads.
    """

    keys: Sequence[str]
    image_ids: Sequence[str]
    identities: Sequence[str]
    vectors: Floats
    patches: Callable[[Indices], PatchFaces]


@dataclass(frozen=True)
class TwoStageRanking:
    """The candidates of Q queries in the order of stage 1, and their new order.

    Attributes:
        candidates: int64 (Q, depth), gallery rows by falling cosine.
        cosines: float32 (Q, depth).
        compared: float32 (Q, k), the re-ranker's similarity of the first k; NaN where nothing was carried.
        blended: float32 (Q, k), stage-2 score of the first k, likewise.
        order: int64 (Q, depth): the re-ranked list is candidates taken in this order.
        genuine: bool (Q, depth), candidate of the query's identity.
        num_relevant: int64 (Q,), images of the query's identity in its gallery.
        identities: int64 (Q,), a number for each query's identity.
        converged: bool (Q, k), False where a solver stopped at its limit.
        carried: bool (Q, k), False where a pair cannot be compared: the candidate has no stage-2 score and keeps its place.
        seconds: float64 (Q,), of stage 2; see compare_candidates.
        recall: the share of the exact candidates that stage 1 found.
    """

    candidates: Indices
    cosines: Floats
    compared: Floats
    blended: Floats
    order: Indices
    genuine: npt.NDArray[np.bool_]
    num_relevant: Indices
    identities: Indices
    converged: npt.NDArray[np.bool_]
    carried: npt.NDArray[np.bool_]
    seconds: Doubles
    recall: float


def rank_two_stages(
    queries: Faces, gallery: Faces, *, top_k: int | None, alpha: float, reranker: Reranker, index: Index = "exact"
) -> TwoStageRanking:
    """Rank the gallery for every query, then re-rank the first top_k.

    A gallery image that a query was made from (same image_id), or is, is not in that query's gallery and not counted as
    relevant: the rest of the picture would give it away (METHODS section 7, same-set mode).

    Args:
        queries: the occluded images, or the gallery itself.
        gallery: the clean images.
        top_k: how many stage 2 looks at; all where the gallery is smaller, or where it is None.
        alpha: share of the comparison in the stage-2 score.
        reranker: compares.
        index: what stage 1 searches with.

    Returns:
        Lists of depth max(top_k, largest number of relevant images), so that every metric can be computed.

    Raises:
        DataError: there are no queries, fewer than two gallery images, one of either stands there twice, a vector has no
            direction, or queries and gallery are of different networks.

    DeepFace-EMD, section 3.1.3.
    """
    if not queries.keys or len(gallery.keys) < 2:
        got = f"{len(queries.keys)} queries, {len(gallery.keys)} gallery images"
        raise DataError("There is nothing to rank.", got=got, allowed="at least 1 query and 2 gallery images")
    for names, what in ((queries.keys, "query"), (gallery.image_ids, "gallery image")):
        if pc.count_distinct(as_texts(names).column).as_py() != len(names):
            twice = pc.value_counts(as_texts(names).column)
            got = twice.filter(pc.greater(twice.field("counts"), 1)).field("values").to_pylist()[:5]
            raise DataError(f"A {what} is there twice.", got=got, allowed="each once")
    own = as_texts(gallery.image_ids).rows(queries.image_ids)
    own[own == MISSING] = NO_EXCLUSION
    codes, _ = Texts(pa.chunked_array([as_texts(faces.identities).column for faces in (gallery, queries)])).numbered()
    gallery_identity, query_identity = np.split(codes, [len(gallery.keys)])
    num_relevant = np.bincount(gallery_identity, minlength=codes.max() + 1)[query_identity]
    num_relevant -= (own != NO_EXCLUSION) & (gallery_identity[own] == query_identity)

    findable = len(gallery.keys) - int((own != NO_EXCLUSION).any())
    k = findable if top_k is None else min(top_k, findable)
    depth = min(findable, max(k, int(num_relevant.max())))
    candidates, cosines = search(queries.vectors, gallery.vectors, depth, own, index)
    found, seconds = compare_candidates(queries, gallery, candidates[:, :k], reranker)
    blended = blended_scores(cosines[:, :k], found.similarity, alpha)
    return TwoStageRanking(
        candidates,
        cosines,
        found.similarity,
        blended,
        reranked_order(blended, found.carried, depth),
        gallery_identity[candidates] == query_identity[:, None],
        num_relevant.astype(np.int64),
        query_identity.astype(np.int64),
        found.converged,
        found.carried,
        seconds,
        search_recall(candidates, queries.vectors, gallery.vectors, own, index),
    )


def compare_candidates(
    queries: Faces, gallery: Faces, candidates: Indices, reranker: Reranker
) -> tuple[Compared, Doubles]:
    """How alike each query and its candidates, int64 (Q, k), are: a Compared of (Q, k) arrays, and each query's seconds (Q,).

    The queries of a block share its time, that of reading and preparing the maps included; torch.get_num_threads() blocks
    are in work at once.

    Memory holds the maps of a block of queries and of a block of the gallery images that these have as candidates, a thread.
    """
    num_queries, k = candidates.shape
    similarity, converged = np.empty((num_queries, k), np.float32), np.empty((num_queries, k), np.bool_)
    carried, seconds = np.empty((num_queries, k), np.bool_), np.empty(num_queries)
    blocks = range(0, num_queries, reranker.num_queries)

    def solve(first: int) -> None:
        started = time.perf_counter()
        rows = np.arange(first, min(first + reranker.num_queries, num_queries))
        asked = queries.patches(rows)
        asking = reranker.prepare(asked, are_queries=True)
        met = np.unique(candidates[rows])
        for start in range(0, len(met), reranker.num_gallery):
            block = met[start : start + reranker.num_gallery]
            places = np.clip(np.searchsorted(block, candidates[rows]), 0, len(block) - 1)
            here = np.nonzero(block[places] == candidates[rows])
            pairs = np.stack([here[0], places[here]], axis=1)
            faces = gallery.patches(block)
            if faces.patches.shape[2] != asked.patches.shape[2]:
                raise DataError(
                    "Patches of different channel counts cannot be compared.",
                    got=f"{asked.keys[0]} {asked.patches.shape[2]}, {faces.keys[0]} {faces.patches.shape[2]}",
                    allowed="features of one network",
                )
            prepared = reranker.prepare(faces, are_queries=False)

            def name(p: int, pairs: Indices = pairs, block: Indices = block) -> str:
                return f"query {queries.keys[rows[pairs[p, 0]]]}, gallery image {gallery.keys[block[pairs[p, 1]]]}"

            found = reranker.compare(asking, prepared, pairs, name)
            there = rows[here[0]], here[1]
            similarity[there], converged[there], carried[there] = found.similarity, found.converged, found.carried
        seconds[rows] = (time.perf_counter() - started) / len(rows)

    # One operation is too small to be shared by threads: the blocks are, each thread with one of torch's own.
    with ThreadPoolExecutor(torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,)) as threads:
        done = threads.map(solve, blocks)
        for _ in track(done, f"re-ranking blocks of {reranker.num_queries} queries", total=len(blocks)):
            pass
    return Compared(similarity, converged, carried), seconds
