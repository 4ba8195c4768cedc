"""Identification of occluded faces in two stages: the whole gallery by cosine, the best of it again by patch-wise EMD."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.progress import track
from pipeline_lib.core.texts import MISSING, Texts, as_texts
from pipeline_lib.core.top_k import NO_EXCLUSION
from pipeline_lib.matching.emd.sinkhorn import Sinkhorn, UnitPatches, can_be_transported, emd_similarities
from pipeline_lib.matching.retrieval.rerank import blended_scores, reranked_order
from pipeline_lib.matching.retrieval.search import search

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
QUERIES_A_BLOCK = 8  # whose candidates' maps are in memory at once: of 49 patches of 512 values 80 MB a thread


@dataclass(frozen=True)
class Faces:
    """Queries or gallery, N images.

    Attributes:
        keys: unique names, for error messages and tables.
        image_ids: the aligned image each was made from; an occluded image has that of its original.
        identities: who it is.
        vectors: float32 (N, D).
        patches: from rows, int64 (n,), to their K patches of unit length (emd.sinkhorn.unit_patches); called by threads.
    """

    keys: Sequence[str]
    image_ids: Sequence[str]
    identities: Sequence[str]
    vectors: Floats
    patches: Callable[[Indices], UnitPatches]


@dataclass(frozen=True)
class TwoStageRanking:
    """The candidates of Q queries in the order of stage 1, and their new order.

    Attributes:
        candidates: int64 (Q, depth), gallery rows by falling cosine.
        cosines: float32 (Q, depth).
        emd: float32 (Q, k), EMD similarity of the first k; NaN where nothing was carried.
        blended: float32 (Q, k), stage-2 score of the first k, likewise.
        order: int64 (Q, depth): the re-ranked list is candidates taken in this order.
        genuine: bool (Q, depth), candidate of the query's identity.
        num_relevant: int64 (Q,), images of the query's identity in its gallery.
        converged: bool (Q, k), False where the transport stopped at the iteration limit.
        carried: bool (Q, k), False where nothing could be transported, as no patch resembles the other image: the candidate
            has no stage-2 score and keeps its place.
    """

    candidates: Indices
    cosines: Floats
    emd: Floats
    blended: Floats
    order: Indices
    genuine: npt.NDArray[np.bool_]
    num_relevant: Indices
    converged: npt.NDArray[np.bool_]
    carried: npt.NDArray[np.bool_]


def rank_two_stages(
    queries: Faces, gallery: Faces, *, top_k: int, alpha: float, weights: str, settings: Sinkhorn
) -> TwoStageRanking:
    """Rank the gallery for every query, then re-rank the first top_k.

    A gallery image that a query was made from (same image_id) is not in that query's gallery and not counted as
    relevant: the rest of the picture would give it away (METHODS section 7, same-set mode).

    Args:
        queries: the occluded images.
        gallery: the clean images.
        top_k: how many stage 2 looks at; all where the gallery is smaller.
        alpha: share of the EMD similarity in the stage-2 score.
        weights: a key of emd.weights.WEIGHTS.
        settings: of the transport.

    Returns:
        Lists of depth max(top_k, largest number of relevant images), so that every metric can be computed.

    Raises:
        DataError: there are no queries, fewer than two gallery images, or a vector has no direction.

    DeepFace-EMD, section 3.1.3.
    """
    if not queries.keys or len(gallery.keys) < 2:
        got = f"{len(queries.keys)} queries, {len(gallery.keys)} gallery images"
        raise DataError("There is nothing to rank.", got=got, allowed="at least 1 query and 2 gallery images")
    own = as_texts(gallery.image_ids).rows(queries.image_ids)
    own[own == MISSING] = NO_EXCLUSION
    codes, _ = Texts(pa.chunked_array([as_texts(faces.identities).column for faces in (gallery, queries)])).numbered()
    gallery_identity, query_identity = np.split(codes, [len(gallery.keys)])
    num_relevant = np.bincount(gallery_identity, minlength=codes.max() + 1)[query_identity]
    num_relevant -= (own != NO_EXCLUSION) & (gallery_identity[own] == query_identity)

    findable = len(gallery.keys) - int((own != NO_EXCLUSION).any())
    k = min(top_k, findable)
    depth = min(findable, max(k, int(num_relevant.max())))
    candidates, cosines = search(queries.vectors, gallery.vectors, depth, own)
    emd, converged, carried = _emd(queries, gallery, candidates[:, :k], weights, settings)
    blended = blended_scores(cosines[:, :k], emd, alpha)
    return TwoStageRanking(
        candidates,
        cosines,
        emd,
        blended,
        reranked_order(blended, carried, depth),
        gallery_identity[candidates] == query_identity[:, None],
        num_relevant.astype(np.int64),
        converged,
        carried,
    )


def _emd(
    queries: Faces, gallery: Faces, candidates: Indices, weights: str, settings: Sinkhorn
) -> tuple[Floats, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """EMD similarity of each query and its candidates, whether it converged, and whether there was any flow: all (Q, k).

    Where no patch of one image resembles the other, no weighting exists (emd_weights.patch_weights raises): the pair has no
    similarity (NaN), is left out of stage 2 and counted. Among a hundred candidates that is an impostor's normal case.
    """
    num_queries, k = candidates.shape
    similarities, converged = np.empty((num_queries, k), np.float32), np.empty((num_queries, k), np.bool_)
    carried = np.empty((num_queries, k), np.bool_)
    blocks = range(0, num_queries, QUERIES_A_BLOCK)

    def solve(first: int) -> None:
        rows = np.arange(first, min(first + QUERIES_A_BLOCK, num_queries))
        met, places = np.unique(candidates[rows], return_inverse=True)
        asking, found_there = queries.patches(rows), gallery.patches(met)
        pairs = np.stack([np.repeat(np.arange(len(rows)), k), places.reshape(-1)], axis=1)

        def name(p: np.intp) -> str:
            return f"query {queries.keys[rows[pairs[p, 0]]]}, gallery image {gallery.keys[met[pairs[p, 1]]]}"

        some = can_be_transported(asking, found_there, pairs, weights)
        found, reached = np.full(len(pairs), np.nan, np.float32), np.ones(len(pairs), np.bool_)
        named = np.flatnonzero(some)
        found[some], reached[some] = emd_similarities(
            asking, found_there, pairs[some], weights, settings, lambda p: name(named[p])
        )
        similarities[rows], converged[rows] = found.reshape(len(rows), k), reached.reshape(len(rows), k)
        carried[rows] = some.reshape(len(rows), k)

    # One operation is too small to be shared by threads: the blocks are, each thread with one of torch's own.
    with ThreadPoolExecutor(torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,)) as threads:
        done = threads.map(solve, blocks)
        for _ in track(done, f"re-ranking blocks of {QUERIES_A_BLOCK} queries", total=len(blocks)):
            pass
    return similarities, converged, carried
