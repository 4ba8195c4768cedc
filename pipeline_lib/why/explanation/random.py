"""Random: maps that know nothing, the floor every explanation must beat (METHODS, section 8)."""

import numpy as np

from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.params.section import Section
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.explanation.shared.explanation import Explanation, Requires

REQUIRES: Requires = "embeddings"


class Settings(Section):
    """Nothing to set."""


def explain(network: Embedder, pair: EmbeddedPair, settings: Settings, rng: np.random.Generator) -> Explanation:
    """Draw every pixel's saliency on its own, uniformly from [0, 1).

    Pixels are drawn singly, not in patches: insertion and deletion then take a uniform sample of the face at every step,
    which favours neither centre nor border.

    Args:
        network, settings: not used.
        pair: whose score is kept.
        rng: its state fixes the maps.
    """
    return Explanation(rng.random((2, FACE_PX, FACE_PX), dtype=np.float32), pair.score)
