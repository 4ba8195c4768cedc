"""What is done to patches before their transport: coarser grids, the mean off, landmarks counted."""

import numpy as np
import pytest
import torch

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.emd.patches import (
    landmark_shares,
    less_mean_cells,
    pool_grid,
    pooled_boxes,
    unit_patches,
)

GRID = np.array([[16 * x, 16 * y, 16, 16] for y in range(7) for x in range(7)])
CROSS = np.array([[0, 28, 56, 56], [28, 0, 56, 56], [56, 28, 56, 56], [28, 56, 56, 56], [28, 28, 56, 56]])


def test_pooling_averages_neighbours_and_keeps_the_odd_edge() -> None:
    patches = np.arange(49, dtype=np.float32).reshape(1, 49, 1)
    pooled = pool_grid(patches, GRID)[0, :, 0].reshape(4, 4)
    assert pooled[0, 0] == np.mean([0, 1, 7, 8])
    assert pooled[0, 3] == np.mean([6, 13])
    assert pooled[3, 0] == np.mean([42, 43])
    assert pooled[3, 3] == 48


def test_pooled_boxes_span_the_cells_they_average() -> None:
    boxes = pooled_boxes(GRID)
    assert boxes[0].tolist() == [0, 0, 32, 32]
    assert boxes[3].tolist() == [96, 0, 16, 32]
    assert boxes[-1].tolist() == [96, 96, 16, 16]
    # Each pooled value lies in the middle of its box: the average of its cells' left edges, of one cell or two.
    edges = pool_grid(GRID[None, :, :2].astype(np.float32), GRID)[0]
    np.testing.assert_array_equal(edges + 8, boxes[:, :2] + boxes[:, 2:] / 2)


def test_pooling_refuses_an_incomplete_grid() -> None:
    with pytest.raises(DataError, match="full patch grid"):
        pool_grid(np.zeros((1, 5, 3), np.float32), CROSS)
    with pytest.raises(DataError, match="full patch grid"):
        pooled_boxes(CROSS)


def test_landmarks_are_counted_where_they_lie() -> None:
    grid = np.array([[0, 0, 56, 112], [56, 0, 56, 112], [0, 0, 112, 56]])
    landmarks = np.array([[[0, 0], [56, 60], [55.9, 111.9], [112, 5]]], np.float32)
    assert landmark_shares(landmarks, grid).tolist() == [
        [0.5, 0.25, 0.25]
    ]  # the third box overlaps, the last point is outside
    rng = np.random.default_rng(0)
    many = rng.uniform(-5, 117, (4, 68, 2)).astype(np.float32)
    for row, points in enumerate(many):
        counts = [sum(x <= px < x + w and y <= py < y + h for px, py in points) for x, y, w, h in GRID]
        np.testing.assert_allclose(landmark_shares(many, GRID)[row], np.array(counts) / 68, rtol=1e-6)
    many[2, 5] = np.nan
    with pytest.raises(DataError, match="image 2"):
        landmark_shares(many, GRID)


def test_the_mean_of_each_place_is_taken_off() -> None:
    rng = np.random.default_rng(0)
    patches = rng.normal(size=(6, 4, 3)).astype(np.float32)
    np.testing.assert_allclose(less_mean_cells(patches, patches.mean(axis=0)).mean(axis=0), 0, atol=1e-6)  # float32
    with pytest.raises(DataError, match=r"\(3,\).*\n.*\(4, 3\)"):
        less_mean_cells(patches, patches.mean(axis=(0, 1)))


def test_patches_get_unit_length_and_keep_their_mean() -> None:
    raw = np.array([[[3.0, 4.0], [0.0, 2.0]]], np.float32)
    found = unit_patches(raw, vectors=np.array([[0.0, 5.0]], np.float32))
    np.testing.assert_allclose(found.unit[0].numpy(), [[0.6, 0.8], [0, 1]], atol=1e-6)  # float32
    np.testing.assert_allclose(found.mean[0].numpy(), np.array([1.5, 3]) / np.hypot(1.5, 3), atol=1e-6)
    assert found.vector.tolist() == [[0, 1]]
    assert found.to(torch.device("cpu")).landmarks is None
    with pytest.raises(DataError, match=r"embedding.*\n.*face 0"):
        unit_patches(raw, "face {}".format, vectors=np.zeros((1, 2), np.float32))
