"""Cross-correlation: a golden pair, loops, and RRFNet's own contributions."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.why.explanation import cross_correlation
from pipeline_lib.why.explanation.shared.additive_terms import additive_explanation
from pipeline_lib.why.explanation.shared.cell_map import cell_map
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.explanation.shared.patch_terms import patch_contributions

RNG = np.random.default_rng(0)
HALVES = np.array([[0, 0, 56, 112], [56, 0, 56, 112]])


def explain(embedder: Embedder, pair: EmbeddedPair) -> Explanation:
    return cross_correlation.explain(embedder, pair, cross_correlation.Settings(), RNG)


def of_halves(a: list[list[float]], b: list[list[float]]) -> Explanation:
    patches = np.array([a, b], np.float32)
    pair = EmbeddedPair(np.zeros((2, 112, 112, 3), np.uint8), np.ones((2, 3), np.float32), patches)
    return explain(SimpleNamespace(network=SimpleNamespace(grid=HALVES)), pair)


def test_two_cells_by_hand():
    # The means are (3, 0) and (0, 2): they have nothing in common, and lengths of 3 and 2.
    found = of_halves([[3, 4], [3, -4]], [[6, 2], [-6, 2]])
    np.testing.assert_allclose(found.maps[0, 0, [0, 111]], [8 / 6, -8 / 6], rtol=1e-6)
    np.testing.assert_allclose(found.maps[1, 0, [0, 111]], [18 / 6, -18 / 6], rtol=1e-6)
    assert found.terms is None
    assert found.score == pytest.approx(1.0)


def test_cells_are_those_of_loops_with_the_mean_of_the_pooled_cosine(mirror, network_named, faces):
    embedder = Embedder(network_named("iresnet"), mirror, images_per_batch=8)
    pair = embedder.pair(faces)
    found = explain(embedder, pair)
    pooled = [sum(cells) / len(cells) for cells in pair.patches.astype(np.float64)]
    lengths = [np.sqrt(sum(g**2)) for g in pooled]
    for image in (0, 1):
        values = [float(cell @ pooled[1 - image]) / (lengths[0] * lengths[1]) for cell in pair.patches[image]]
        for (x, y, w, h), value in zip(found.boxes.tolist(), values, strict=True):
            np.testing.assert_allclose(found.maps[image, y : y + h, x : x + w], value, rtol=1e-5, atol=1e-6)
        assert np.mean(values) == pytest.approx(pooled[0] @ pooled[1] / (lengths[0] * lengths[1]), abs=1e-9)
    np.testing.assert_array_equal(found.boxes, embedder.network.grid)
    assert found.score == pair.score
    swapped = explain(embedder, embedder.pair(faces[::-1]))
    np.testing.assert_allclose(swapped.maps, found.maps[::-1], rtol=1e-3, atol=1e-5)  # float32 in other batches


@pytest.mark.parametrize("name", ["rrfnet56", "rrfnet28"])
def test_an_rrfnet_s_cells_are_its_contributions(mirror, network_named, faces, name):
    embedder = Embedder(network_named(name), mirror, images_per_batch=8)
    pair = embedder.pair(faces)
    own = additive_explanation(embedder.network, *pair.patches, mirror=mirror, score=pair.score)
    for image, contributions in enumerate(patch_contributions(own.terms)):
        wanted = cell_map(len(contributions) * contributions, embedder.network.grid)
        np.testing.assert_allclose(explain(embedder, pair).maps[image], wanted, rtol=1e-4, atol=1e-6)


def test_faces_without_a_direction_are_refused():
    for a in ([[1, 1], [-1, -1]], [[0, 0], [0, 0]], [[float("nan"), 1], [1, 1]], [[float("inf"), 1], [1, 1]]):
        with pytest.raises(DataError, match="mean of length 0, or one is not finite"):
            of_halves([[1, 0], [0, 1]], a)
    np.testing.assert_allclose(of_halves([[1, 0], [0, 0]], [[1, 0], [1, 0]]).maps[0, 0, [0, 111]], [2, 0])
    pair = EmbeddedPair(np.zeros((2, 112, 112, 3), np.uint8), np.zeros((2, 3), np.float32), np.ones((2, 2, 2)))
    with pytest.raises(DataError, match="feature vector is zero"):
        explain(SimpleNamespace(network=SimpleNamespace(grid=HALVES)), pair)
