"""Cross-correlation: each cell of a face against the other face as a whole (METHODS, sections 7 and 8)."""

import numpy as np

from pipeline_lib.core.errors import DataError
from pipeline_lib.params.section import Section
from pipeline_lib.why.explanation.shared.cell_map import cell_map
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.explanation.shared.explanation import Explanation, Requires

REQUIRES: Requires = "patches"


class Settings(Section):
    """Nothing to set."""


def explain(network: Embedder, pair: EmbeddedPair, settings: Settings, rng: np.random.Generator) -> Explanation:
    """Compare each cell with the pooled feature of the other image.

        g = mean over the cells i of p_i;   c_i^A = p_i^A · g^B / (‖g^A‖ ‖g^B‖),   c_i^B likewise

    The dot product of the DeepFace-EMD thesis (section 5.3.3), over one positive number a pair, so that the cells of each face
    have the mean cos(g^A, g^B), and an RRFNet's are K times their contributions to the score (RRFNet eq. 8). The score of any
    other network is not that cosine. A cell of length 0 has the value 0.

    Args:
        network: any.
        pair: two faces, by `network`, with patches.
        settings, rng: not used.

    Raises:
        DataError: an embedding or a pooled feature has no direction, or a patch is not finite.
    """
    assert pair.patches is not None, "a kind of patches is given them"
    patches = pair.patches.astype(np.float64)
    pooled = patches.mean(axis=1)
    lengths = np.linalg.norm(pooled, axis=1)
    if not (np.isfinite(patches).all() and (lengths > 0).all()):
        raise DataError("The cells of a face have a mean of length 0, or one is not finite.", got=f"lengths {lengths}")
    values = np.einsum("skc,sc->sk", patches, pooled[::-1]) / lengths.prod()
    boxes = network.network.grid
    return Explanation(np.stack([cell_map(of_one, boxes) for of_one in values]), pair.score, boxes=boxes)
