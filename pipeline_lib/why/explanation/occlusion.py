"""Occlusion sensitivity: how much of the cosine is lost when a part of one face is hidden (Zeiler and Fergus 2014, section 4)."""

import numpy as np

from pipeline_lib.core.cosine import cosine
from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.params.section import Section
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.explanation.shared.explanation import Explanation, Maps, Requires

REQUIRES: Requires = "embeddings"
CELL_PX = 16  # 7x7 cells of the aligned image
GREY = 0.0  # in network space


class Settings(Section):
    """Nothing to set."""


def explain(network: Embedder, pair: EmbeddedPair, settings: Settings, rng: np.random.Generator) -> Explanation:
    """Hide one cell of one face at a time; the other face stays as it is.

        value of cell c of A = cos(e_A, e_B) - cos(e(A with c grey), e_B), and likewise of B

    Each pixel has its cell's value divided by the cell's pixels. A hidden cell is a grey square, which is an edge and a shape of
    its own; squares of several sizes at small steps, as xFace's, are finer and cost twenty times as many images.

    Args:
        network: any; it embeds 2 * 49 images.
        pair: two faces, by `network`.
        settings, rng: not used.

    Raises:
        DataError: an embedding, of a face or of one with a hidden cell, has no direction.
    """
    num = FACE_PX // CELL_PX
    clean, lost = pair.inputs, []
    for side in (0, 1):
        hidden = np.repeat(clean[side][None], num * num, axis=0)
        for index in range(num * num):
            y, x = CELL_PX * (index // num), CELL_PX * (index % num)
            hidden[index, :, y : y + CELL_PX, x : x + CELL_PX] = GREY
        partner = np.broadcast_to(pair.embeddings[1 - side], (num * num, pair.embeddings.shape[1]))
        lost.append(pair.score - cosine(network(hidden), partner).reshape(num, num))
    maps: Maps = np.kron(np.stack(lost) / CELL_PX**2, np.ones((CELL_PX, CELL_PX))).astype(np.float32)
    return Explanation(maps, pair.score)
