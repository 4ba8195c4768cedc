"""Occlusion: against one picture at a time, a network that sees one cell, and the counts of images."""

import numpy as np
import pytest

from pipeline_lib.core.cosine import cosine
from pipeline_lib.why.explanation import occlusion
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder

RNG = np.random.default_rng(0)


def test_each_cell_has_what_the_cosine_loses_without_it(embedder, faces):
    pair = embedder.pair(faces, with_patches=False)
    found = occlusion.explain(embedder, pair, occlusion.Settings(), RNG)
    assert found.score == pair.score
    for side, row, column in ((0, 0, 0), (0, 3, 5), (1, 6, 2)):
        picture = pair.inputs[side].copy()
        picture[:, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = 0.0
        lost = pair.score - float(cosine(embedder(picture[None])[0], pair.embeddings[1 - side]))
        cell = found.maps[side, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
        assert np.ptp(cell) == 0.0
        assert cell.sum(dtype=np.float64) == pytest.approx(lost, abs=2e-6)  # float32 embeddings in other batches


class OneCell(Embedder):
    """Embeds the mean of the cell in row 2, column 4, beside a constant, and counts its images."""

    def __init__(self) -> None:
        self.num = 0

    def __call__(self, images):
        self.num += len(images)
        means = images[:, :, 32:48, 64:80].mean(axis=(1, 2, 3))
        return np.stack([means, np.ones_like(means)], axis=1).astype(np.float32)


def test_only_what_a_network_sees_has_a_value(faces):
    """A's cell is all white and B's all white: (1, 1) twice, cosine 1; hidden it is (0, 1): 1 - 1/sqrt(2) is lost."""
    white, network = np.full_like(faces, 255), OneCell()
    pair = EmbeddedPair(white, network(EmbeddedPair(white, np.ones((2, 2), np.float32), None).inputs), None)
    network.num = 0
    found = occlusion.explain(network, pair, occlusion.Settings(), RNG)
    assert network.num == 98
    expected = np.zeros((2, 112, 112))
    expected[:, 32:48, 64:80] = (1 - 1 / np.sqrt(2)) / 256
    np.testing.assert_allclose(found.maps, expected, atol=1e-9)
