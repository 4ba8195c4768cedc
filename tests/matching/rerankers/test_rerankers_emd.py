"""The keys of a re-ranker of kind emd: grids of both sides, means off, the exact optimum, weights by landmarks."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.emd.patches import landmark_shares, pool_grid, pooled_boxes, unit_patches
from pipeline_lib.matching.emd.similarities import emd_similarities
from pipeline_lib.matching.emd.sinkhorn import Sinkhorn
from pipeline_lib.matching.rerankers.emd import Settings, check_grid, open_reranker
from pipeline_lib.matching.rerankers.shared.reranker import Compared, PatchFaces, Reads
from pipeline_lib.networks.embeddings.means import Means, write_means

GRID = np.array([(28 * x, 28 * y, 28, 28) for y in range(4) for x in range(4)], np.int64)
RNG = np.random.default_rng(0)
MEANS = RNG.normal(size=(16, 6)).astype(np.float32)
PATCHES = (3 * MEANS + RNG.normal(size=(5, 16, 6))).astype(np.float32)
LANDMARKS = RNG.uniform(0, 112, (5, 68, 2)).astype(np.float32)
PAIRS = np.array([[0, 0], [1, 2], [0, 1]])


def faces(rows: slice, landmarks: bool = True) -> PatchFaces:
    names = [f"im{row}" for row in range(5)][rows]
    vectors = RNG.normal(size=(len(names), 6)).astype(np.float32)
    return PatchFaces(names, vectors, PATCHES[rows], GRID, LANDMARKS[rows] if landmarks else None)


def compared(folder: Path, landmarks: bool = True, **keys: object) -> Compared:
    """Images 0 and 1 asked of images 2 to 4."""
    plain = {"weights": "uniform", "pool": 1, "regularisation": 0.05, "tolerance": 1e-4, "max_iterations": 5000}
    reads = Reads(folder, Path("data/none"), torch.device("cpu"))
    opened = open_reranker(Settings.model_validate({**plain, **keys}), reads)
    sides = opened.prepare(faces(slice(0, 2), landmarks), True), opened.prepare(faces(slice(2, 5), landmarks), False)
    return opened.compare(*sides, PAIRS, "pair {}".format)


def directly(a: np.ndarray, b: np.ndarray, weights: str = "uniform", shares: tuple = (None, None)) -> np.ndarray:
    sides = [unit_patches(patches, landmarks=share) for patches, share in zip((a, b), shares, strict=True)]
    return emd_similarities(*sides, PAIRS, weights, Sinkhorn(max_iterations=5000))[0]


def test_a_side_may_have_the_coarser_grid(tmp_path: Path) -> None:
    pooled = pool_grid(PATCHES, GRID)
    for pool, a, b in ((2, pooled, pooled), ([2, 1], pooled, PATCHES), ([1, 2], PATCHES, pooled)):
        found = compared(tmp_path, pool=pool)
        np.testing.assert_array_equal(found.similarity, directly(a[:2], b[2:]))
        assert found.carried.all()
    cross = np.array([[0, 28, 56, 56], [28, 0, 56, 56], [56, 28, 56, 56]])
    settings = Settings(weights="apc", pool=(1, 2), regularisation=0.05, tolerance=1e-4, max_iterations=10)
    with pytest.raises(DataError, match="full patch grid"):
        check_grid(settings, cross)


def test_means_of_the_gallery_are_taken_off(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="embed_gallery"):
        compared(tmp_path, less_mean=True)
    write_means(tmp_path, Means(np.zeros(6, np.float32), MEANS, 9))
    less = PATCHES - MEANS
    np.testing.assert_array_equal(compared(tmp_path, less_mean=True).similarity, directly(less[:2], less[2:]))


def test_the_exact_optimum_is_above_the_entropic_one(tmp_path: Path) -> None:
    exact, entropic = compared(tmp_path, exact=True), compared(tmp_path)
    assert (exact.similarity > entropic.similarity).all()
    assert exact.converged.all()


def test_landmarks_weigh_the_boxes_that_are_compared(tmp_path: Path) -> None:
    pooled = pool_grid(PATCHES, GRID)
    shares = landmark_shares(LANDMARKS[:2], pooled_boxes(GRID)), landmark_shares(LANDMARKS[2:], GRID)
    found = compared(tmp_path, weights="lmk", pool=[2, 1])
    np.testing.assert_array_equal(found.similarity, directly(pooled[:2], PATCHES[2:], "lmk", shares))
    with pytest.raises(DataError, match="'lmk' need landmarks"):
        compared(tmp_path, landmarks=False, weights="lmk")
