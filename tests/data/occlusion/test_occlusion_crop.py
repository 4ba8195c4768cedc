"""Random crops: place, size, landmarks."""

import numpy as np
import pytest

from pipeline_lib.data.occlusion.crop import crop_landmarks, random_crop


def test_a_crop_of_everything_is_the_image():
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    cropped, drawn = random_crop(image, 1.0, np.random.default_rng(0))
    assert np.array_equal(cropped, image)
    assert drawn == {"box": [0, 0, 112, 112]}


@pytest.mark.parametrize(("share", "side"), [(0.7, 78), (0.5, 56), (0.001, 1)])
def test_boxes_have_the_stated_side_and_reach_every_place(share, side):
    image = np.zeros((112, 112, 3), np.uint8)
    rng = np.random.default_rng(0)
    boxes = np.array([random_crop(image, share, rng)[1]["box"] for _ in range(2000)])
    assert (boxes[:, 2:] - boxes[:, :2] == side).all()
    assert boxes.min() == 0
    assert boxes.max() == 112


def test_the_crop_is_the_box_enlarged():
    """A ramp stays a ramp under interpolation: pixel X of the crop shows x = x0 + (X + 0.5) side / 112 - 0.5."""
    x, y = np.meshgrid(np.arange(112), np.arange(112))
    image = np.stack([2 * x, 2 * y, x + y], axis=2).astype(np.uint8)
    cropped, drawn = random_crop(image, 0.7, np.random.default_rng(5))
    x0, y0, x1, _ = drawn["box"]
    inner = slice(4, 108)  # at the border the interpolation repeats pixels
    expected = x0 + (np.arange(112) + 0.5) * (x1 - x0) / 112 - 0.5
    assert (
        np.abs(cropped[50, inner, 0] / 2 - expected[inner]).max() <= 0.5
    )  # rounding to whole levels, half a pixel each
    expected = y0 + (np.arange(112) + 0.5) * (x1 - x0) / 112 - 0.5
    assert np.abs(cropped[inner, 50, 1] / 2 - expected[inner]).max() <= 0.5


def test_landmarks_move_with_the_pixels():
    # centre of pixel 20 of a box that starts at 10 and is 56 wide: (20 - 10 + 0.5) * 2 - 0.5 = 20.5
    moved = crop_landmarks([[20, 30], [10, 10], [9.5, 9.5], [65.5, 65.5], [0, 0]], [10, 10, 66, 66], 112)
    assert moved.tolist() == [[20.5, 40.5], [0.5, 0.5], [-0.5, -0.5], [111.5, 111.5], [-19.5, -19.5]]
