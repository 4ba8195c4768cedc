"""EMD flow: what the cells of two faces find of themselves in each other (DeepFace-EMD; METHODS, section 7)."""

import numpy as np
import torch

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.emd.patches import unit_patches
from pipeline_lib.matching.emd.sinkhorn import Sinkhorn, transport
from pipeline_lib.matching.emd.weights import patch_weights
from pipeline_lib.params.section import AboveZero, Positive, Section
from pipeline_lib.params.transport import Weights
from pipeline_lib.why.explanation.shared.cell_map import cell_map
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.explanation.shared.explanation import Explanation, Requires

REQUIRES: Requires = "patches"


class Settings(Section):
    """As of an entry of `rerank`: how the cells are weighed, and how their transport is solved."""

    weights: Weights = "apc"
    regularisation: AboveZero = 0.05
    tolerance: AboveZero = 1e-4
    max_iterations: Positive = 10_000  # a hundred are enough for many cells, thousands are needed for an RRFNet's five


def explain(network: Embedder, pair: EmbeddedPair, settings: Settings, rng: np.random.Generator) -> Explanation:
    """Share the EMD similarity among the cells of either face.

        T = the optimal flow between the cells of A and B at cost 1 - cos(q_i, g_j), row and column sums the cells' weights
        v_i^A = Σ_j T_ij cos(q_i, g_j),   v_j^B = Σ_i T_ij cos(q_i, g_j)                          (eq. 3.1 to 3.5)

    A cell's value is the mass it sends times the mean cosine to where that goes: positive where it finds its like. The values
    of either face sum to the EMD similarity Σ T cos of the pair, which is what stage 2 of the re-ranking adds to the cosine;
    the score here stays the cosine, of which this is no part. The paper's own picture shows the cell of highest flow instead.

    Args:
        network: any.
        pair: two faces, by `network`, with patches.
        settings: see there.
        rng: not used.

    Raises:
        DataError: an embedding has no direction, a cell has length 0 or is not finite, no cell of a face resembles the other
            (weights apc, cc and sc), the weights need what the faces lack (lmk: landmarks), or the flow did not converge.
    """
    assert pair.patches is not None, "a kind of patches is given them"
    vectors = pair.embeddings if settings.weights == "cc" else None
    faces = unit_patches(pair.patches, ("image A", "image B").__getitem__, vectors)
    a, b = (faces.take(torch.tensor([row])) for row in (0, 1))
    cosines = (a.unit @ b.unit.mT).clamp(-1, 1)
    weights = patch_weights(settings.weights, a, b)
    solver = Sinkhorn(settings.regularisation, settings.tolerance, settings.max_iterations)
    found = transport(cosines, *weights, solver)
    if not bool(found.converged):
        raise DataError(
            "The transport between two faces did not converge.",
            got=f"its sums are off by {float(found.marginal_error):.2g} after {settings.max_iterations} iterations",
            allowed=f"tolerance {settings.tolerance:g}; more max_iterations, or a larger regularisation",
        )
    carried = (found.plan[0] * cosines[0]).numpy()
    boxes = network.network.grid
    maps = np.stack([cell_map(carried.sum(axis=other), boxes) for other in (1, 0)])
    return Explanation(maps, pair.score, boxes=boxes)
