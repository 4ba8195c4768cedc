"""EMD flow: against POT, its sums, and what it refuses."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.core.kinds import kind_settings
from pipeline_lib.matching.emd.patches import unit_patches
from pipeline_lib.matching.emd.similarities import emd_similarities
from pipeline_lib.matching.emd.sinkhorn import Sinkhorn
from pipeline_lib.why.explanation import emd_flow
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.explanation.shared.explanation import KINDS, Explanation
from tests.oracles.transport import sinkhorn_plan

HALVES = np.array([[0, 0, 56, 112], [56, 0, 56, 112]])
CENTRES = [8 + 16 * i for i in range(7)]  # of an IResNet's cells, in px


def explain(embedder: Embedder, pair: EmbeddedPair, **settings: object) -> Explanation:
    return emd_flow.explain(embedder, pair, emd_flow.Settings(**settings), np.random.default_rng(0))


def of_halves(a: list[list[float]], b: list[list[float]], **settings: object) -> Explanation:
    patches = np.array([a, b], np.float32)
    pair = EmbeddedPair(np.zeros((2, 112, 112, 3), np.uint8), np.ones((2, 3), np.float32), patches)
    return explain(SimpleNamespace(network=SimpleNamespace(grid=HALVES)), pair, **settings)


def cells(found: Explanation) -> np.ndarray:
    """The values (2, 49) of an IResNet's cells."""
    return found.maps[:, CENTRES][:, :, CENTRES].reshape(2, -1).astype(np.float64)


def test_two_cells_by_hand():
    """A's left cell is B's right one; A's right cell is left with B's left one, at 135 degrees.

    With uniform weights T = [[t, s], [s, t]], t + s = 1/2, and t/s = exp((c11 + c22 - c12 - c21) / 2ε) = exp(-1 / 0.5).
    """
    found = of_halves([[1, 0], [0, 2]], [[-1, -1], [3, 0]], weights="uniform", regularisation=0.25)
    away, t = -np.sqrt(0.5), 0.5 * np.exp(-2) / (1 + np.exp(-2))
    s = 0.5 - t
    np.testing.assert_allclose(found.maps[0, 0, [0, 111]], [t * away + s, s * away], atol=1e-4)  # the tolerance
    np.testing.assert_allclose(found.maps[1, 0, [0, 111]], [0.5 * away, s], atol=1e-4)
    assert (found.terms, found.score) == (None, pytest.approx(1.0))


@pytest.mark.parametrize("weights", ["uniform", "apc", "sc", "sc_distance"])
def test_values_are_those_of_pot_and_sum_to_the_emd_similarity(mirror, network_named, faces, weights):
    embedder = Embedder(network_named("iresnet"), mirror, images_per_batch=8)
    pair = embedder.pair(faces)
    found = explain(embedder, pair, weights=weights, tolerance=1e-5)
    unit = pair.patches.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=2, keepdims=True)
    cosines = unit[0] @ unit[1].T
    means = [side.mean(axis=0) / np.linalg.norm(side.mean(axis=0)) for side in pair.patches.astype(np.float64)]
    of_a, of_b = {
        "uniform": (np.ones(49), np.ones(49)),
        "apc": (np.maximum(unit[0] @ means[1], 0), np.maximum(unit[1] @ means[0], 0)),
        "sc": (np.maximum(cosines.sum(axis=1), 0), np.maximum(cosines.sum(axis=0), 0)),
        "sc_distance": ((1 - cosines).sum(axis=1), (1 - cosines).sum(axis=0)),
    }[weights]
    carried = sinkhorn_plan(cosines, of_a, of_b, 0.05) * cosines
    values = cells(found)
    # Marginals to 1e-5 of a mass of 1, in float32.
    np.testing.assert_allclose(values[0], carried.sum(axis=1), atol=2e-5)
    np.testing.assert_allclose(values[1], carried.sum(axis=0), atol=2e-5)
    patches = unit_patches(pair.patches)
    pairs, solver = np.array([[0, 1]]), Sinkhorn(tolerance=1e-5)
    similarity = emd_similarities(patches, patches, pairs, weights, solver)[0][0]
    np.testing.assert_allclose(values.sum(axis=1), similarity, atol=1e-6)
    np.testing.assert_array_equal(found.boxes, embedder.network.grid)
    assert found.score == pair.score


def test_what_cannot_be_transported_is_named():
    ones, opposite = [[1.0, 0.0], [2.0, 0.0]], [[-1.0, 0.0], [-1.0, 0.0]]
    for broken in ([[0, 0], [1, 0]], [[float("nan"), 0], [1, 0]]):
        with pytest.raises(DataError, match=r"not finite or has length 0[\s\S]*image B"):
            of_halves(ones, broken)
    for weights in ("apc", "sc"):
        with pytest.raises(DataError, match=r"weights .* are all 0"):
            of_halves(ones, opposite, weights=weights)
    assert of_halves(ones, opposite, weights="uniform").maps.max() == pytest.approx(-0.5)
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match=r"did not converge[\s\S]*10 iterations[\s\S]*tolerance 1e-07"):
        of_halves(
            rng.normal(size=(2, 2)), rng.normal(size=(2, 2)), weights="sc_distance", tolerance=1e-7, max_iterations=10
        )
    nowhere = EmbeddedPair(np.zeros((2, 112, 112, 3), np.uint8), np.zeros((2, 3)), np.ones((2, 2, 2), np.float32))
    with pytest.raises(DataError, match="feature vector is zero"):
        explain(SimpleNamespace(network=SimpleNamespace(grid=HALVES)), nowhere)
    for key, value in (("weights", "mean"), ("regularisation", 0.0), ("max_iterations", 0)):
        with pytest.raises(ParamsError, match=key):
            kind_settings(KINDS, "emd_flow", {key: value}, "here")
