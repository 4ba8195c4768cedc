"""Who in a gallery a face is most like: the model's score over all of it, then the best of it again by patch-wise EMD."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from pipeline_lib.core.cosine import Floats, cosine
from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.delivery.identify.embedded import Gallery
from pipeline_lib.delivery.verifier.encoder import BATCH_SIZE
from pipeline_lib.delivery.verifier.verifier import Verifier
from pipeline_lib.matching.emd.patches import UnitPatches, unit_patches
from pipeline_lib.matching.emd.similarities import emd_similarities
from pipeline_lib.matching.emd.sinkhorn import Sinkhorn, transport
from pipeline_lib.matching.emd.weights import patch_weights
from pipeline_lib.matching.retrieval.rerank import blended_scores, reranked_order
from pipeline_lib.matching.scores.shared.faces import Faces, given
from pipeline_lib.networks.embedding.extract import embed_images
from pipeline_lib.why.explanation.shared.flow_pictures import flow_picture

PAIRS_A_BLOCK = 4096
# The share of EMD, and how many candidates are looked at again, with which clean queries of 400 people of LFW among 1,000 lose
# nothing and masked ones gain (docs/results.md). The paper's 0.7 costs every tenth clean query its first place.
ALPHA, TOP_K, WEIGHTS = 0.2, 20, "uniform"
MEASURED = ("dlib_resnet",)  # networks of these kinds; the others re-rank where they are asked to
SOLVER = Sinkhorn(regularisation=0.05, tolerance=1e-3, max_iterations=10_000)


@dataclass(frozen=True)
class Found:
    """A photograph of the gallery in the order of its likeness.

    `row`: of the gallery. `score`: the model's. `reranked`: what stage 2 ordered it by; None where it did not look at it.
    """

    row: int
    score: float
    reranked: float | None


def can_rerank(verifier: Verifier) -> bool:
    """Whether the model's score is of a network of whole faces that has a map of cells."""
    network = verifier.encoder.whole_face
    return network is not None and len(network.grid) > 1


def reranks(asked: bool | None, verifier: Verifier) -> bool:
    """Whether to re-rank: as asked, else where it was measured to do no harm.

    Raises:
        ParamsError: it was asked for, and the model cannot.
    """
    if asked and not can_rerank(verifier):
        raise ParamsError("This model has no map of cells to re-rank by.", got="--rerank", allowed="--no-rerank")
    network = verifier.encoder.whole_face
    return can_rerank(verifier) and network is not None and network.spec.arch in MEASURED if asked is None else asked


def search(
    verifier: Verifier, query: Faces, image: npt.NDArray[np.uint8], gallery: Gallery, rerank: bool
) -> list[Found]:
    """All photographs of the gallery, the most alike first; equal ones in the order of their keys.

    Stage 1: the model's score of the query and each photograph, the number that `verify` gives the two. Stage 2: the TOP_K best,
    among their places, by

        ALPHA EMD similarity + (1 - ALPHA) cosine of the embeddings                             (DeepFace-EMD, section 3.1.3)

    Where the score is no cosine (DAM), stage 2 replaces it for the order of these, never for the threshold.

    Args:
        query: one face, from verifier.encoder.encode.
        image: uint8 (112, 112, 3), the same face.
        gallery: see there.
        rerank: from reranks.

    Raises:
        DataError: a feature has no direction, or the cache's faces cannot be read.
    """
    num = len(gallery.keys)
    needs_pixels = verifier.scorer.needs.pixels
    scores = np.empty(num, np.float32)
    for first in range(0, num, PAIRS_A_BLOCK):
        rows = np.arange(first, min(num, first + PAIRS_A_BLOCK))
        block = gallery.faces.take(rows) if not needs_pixels else Faces(pixels=gallery.images(rows.tolist()))
        scores[rows] = verifier.scorer.score(query.take(np.zeros(len(rows), np.int64)), block)
    order = np.argsort(-scores, kind="stable")
    blended: dict[int, float] = {}
    if rerank:
        best = order[:TOP_K]
        again = _blended(verifier, query, image, gallery, best)
        blended = dict(zip(best.tolist(), again.tolist(), strict=True))
        order = order[reranked_order(again[None], np.ones((1, len(best)), np.bool_), num)[0]]
    return [Found(row, float(scores[row]), blended.get(row)) for row in order.tolist()]


def best_of_each(found: Sequence[Found], names: Sequence[str], num: int) -> list[Found]:
    """The first photograph of each of the `num` people who come first."""
    first: dict[str, Found] = {}
    for one in found:
        first.setdefault(names[one.row], one)
    return list(first.values())[:num]


def flow_pictures(
    verifier: Verifier, image: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8]
) -> list[npt.NDArray[np.uint8] | None]:
    """What each cell of a face found in each of others, uint8 (112, 112, 3); None where the transport did not converge.

    Args:
        verifier: one that can_rerank.
        image: uint8 (112, 112, 3).
        others: uint8 (n, 112, 112, 3).
    """
    network = verifier.encoder.whole_face
    assert network is not None, "asked of those that can re-rank alone"
    cells = _cells(verifier, np.concatenate([image[None], others]))
    pictures: list[npt.NDArray[np.uint8] | None] = []
    for row, other in enumerate(others, start=1):
        a, b = (cells.take(torch.tensor([one])) for one in (0, row))
        cosines = (a.unit @ b.unit.mT).clamp(-1, 1)
        weights = patch_weights(WEIGHTS, a, b)
        found = transport(cosines, *weights, SOLVER)
        plan = found.plan[0].numpy() if bool(found.converged) else None
        pictures.append(None if plan is None else flow_picture(image, other, plan, network.grid, network.grid))
    return pictures


def _blended(
    verifier: Verifier, query: Faces, image: npt.NDArray[np.uint8], gallery: Gallery, rows: npt.NDArray[np.int64]
) -> Floats:
    cells = _cells(verifier, np.concatenate([image[None], gallery.images(rows.tolist())]))
    pairs = np.stack([np.zeros(len(rows), np.int64), np.arange(1, len(rows) + 1)], axis=1)
    emd, converged = emd_similarities(cells, cells, pairs, WEIGHTS, SOLVER)
    if not converged.all():
        raise DataError("The transport between two faces did not converge.", allowed="--no-rerank")
    mean = verifier.scorer.mean
    own, others = given(query.vectors), given(gallery.faces.vectors)[rows]
    shift = 0.0 if mean is None else mean
    cosines = cosine(np.repeat(own, len(rows), axis=0) - shift, others - shift)
    return blended_scores(cosines, emd, ALPHA)


def _cells(verifier: Verifier, images: npt.NDArray[np.uint8]) -> UnitPatches:
    network = verifier.encoder.whole_face
    assert network is not None, "asked of those that can re-rank alone"
    return unit_patches(embed_images(network, images, verifier.encoder.mirror, BATCH_SIZE, True)[1])
