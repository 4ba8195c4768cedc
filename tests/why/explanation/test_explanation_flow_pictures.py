"""Pictures of a transport."""

import numpy as np
import numpy.typing as npt
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.networks.backbones.dlib_resnet import cell_boxes
from pipeline_lib.why.explanation.shared.flow_pictures import flow_picture, weight_picture

QUARTERS = np.array([[0, 0, 56, 56], [56, 0, 56, 56], [0, 56, 56, 56], [56, 56, 56, 56]])


def faces(seed: int = 0) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    first, second = np.random.default_rng(seed).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    return first, second


def slow_picture(gallery_face, plan, grid):
    """Pixel by pixel, for cells of one size that do not overlap."""
    largest = [max(row) for row in plan.tolist()]
    shown = [row.index(max(row)) for row in plan.tolist()]
    picture = np.zeros((112, 112, 3), np.uint8)
    for cell, (left, top, width, height) in enumerate(grid.tolist()):
        light = (largest[cell] - min(largest)) / (max(largest) - min(largest))
        for row in range(height):
            for column in range(width):
                x, y = grid[shown[cell]][:2]
                picture[top + row, left + column] = np.rint(light * gallery_face[y + row, x + column])
    return picture


def test_a_flow_s_picture_is_the_slow_one_s():
    query, gallery = faces()
    plan = np.random.default_rng(1).random((4, 4))
    found = flow_picture(query, gallery, plan, QUARTERS, QUARTERS)
    np.testing.assert_array_equal(found, slow_picture(gallery, plan, QUARTERS))


def test_by_hand_the_least_flow_is_black_the_largest_bright_and_one_between_dimmed():
    query, gallery = faces()
    gallery[:56, :56], gallery[:56, 56:], gallery[56:, :56], gallery[56:, 56:] = 200, 100, 50, 20
    plan = np.array([[0.1, 0.0, 0, 0], [0.2, 0, 0, 0.1], [0.1, 0.3, 0, 0], [0, 0, 0.15, 0.05]], np.float32)
    found = flow_picture(query, gallery, plan, QUARTERS, QUARTERS)
    for (x, y, w, h), value in zip(QUARTERS.tolist(), (0, 100, 100, 12), strict=True):  # 200/2, 100, round(50/4)
        assert (found[y : y + h, x : x + w] == value).all()


def test_equal_flows_are_all_bright_in_spite_of_rounding_and_a_face_to_itself_is_the_face():
    query, gallery = faces()
    plan = (np.eye(4) / 4 * (1 + 1e-7 * np.arange(4))).astype(np.float32)
    np.testing.assert_array_equal(flow_picture(query, gallery, plan, QUARTERS, QUARTERS), gallery)


def test_the_first_of_equal_flows_is_shown():
    query, gallery = faces()
    plan = np.full((4, 4), 1 / 16, np.float32)
    found = flow_picture(query, gallery, plan, QUARTERS, QUARTERS)
    np.testing.assert_array_equal(found, np.tile(gallery[:56, :56], (2, 2, 1)))


def test_cells_of_other_sizes_are_resampled_overlaps_are_means_and_no_cell_is_black():
    query, gallery = faces()
    gallery[:] = 40
    gallery[:56] = 80
    halves = np.array([[0, 0, 112, 56], [0, 56, 112, 56]])
    grid = np.array([[0, 0, 20, 20], [10, 0, 20, 20]])
    plan = np.array([[0.5, 0], [0, 0.5]], np.float32)
    found = flow_picture(query, gallery, plan, grid, halves)
    assert found[5, 5, 0] == 80
    assert found[5, 15, 0] == 60
    assert found[5, 25, 0] == 40
    assert not found[20:].any()
    unequal = flow_picture(query, gallery, np.full((16, 64), 1 / 1024, np.float32), cell_boxes(4), cell_boxes(8))
    assert unequal.shape == (112, 112, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1])
def test_a_broken_plan_is_refused(value):
    plan = np.full((4, 4), 1 / 16)
    plan[1, 2] = value
    with pytest.raises(DataError, match="cannot be drawn"):
        flow_picture(*faces(), plan, QUARTERS, QUARTERS)


def test_what_does_not_fit_together_is_refused():
    query, gallery = faces()
    with pytest.raises(DataError, match="cannot be drawn"):
        flow_picture(query, gallery, np.zeros((4, 4)), QUARTERS, QUARTERS)
    with pytest.raises(DataError, match="grids' size"):
        flow_picture(query, gallery, np.ones((4, 3)) / 12, QUARTERS, QUARTERS)
    with pytest.raises(DataError, match="no aligned one"):
        flow_picture(query[:100], gallery, np.ones((4, 4)) / 16, QUARTERS, QUARTERS)
    with pytest.raises(DataError, match="no aligned one"):
        weight_picture(query.astype(np.float32), np.ones(4) / 4, QUARTERS)
    with pytest.raises(DataError, match="grid's size"):
        weight_picture(query, np.ones(3) / 3, QUARTERS)
    with pytest.raises(DataError, match="cannot be drawn"):
        weight_picture(query, np.array([np.nan, 0, 0, 0]), QUARTERS)


def test_equal_weights_are_a_grey_face_more_is_orange_and_less_is_purple():
    face = np.full((112, 112, 3), 128, np.uint8)
    even = weight_picture(face, np.full(4, 0.25, np.float32), QUARTERS)
    assert (even == 128).all()
    found = weight_picture(face, np.array([0.5, 0.0, 0.25, 0.25]), QUARTERS)
    orange, purple = found[0, 0].astype(int), found[0, 111].astype(int)
    assert orange[0] > orange[1] > orange[2]
    assert purple[2] > purple[0] > purple[1]
    assert (found[111] == 128).all()
    more = weight_picture(face, np.array([0.9, 0.0, 0.05, 0.05]), QUARTERS)
    np.testing.assert_array_equal(more[0, 0], found[0, 0])  # twice an equal share is full colour already
