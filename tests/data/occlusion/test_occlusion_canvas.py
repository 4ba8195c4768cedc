"""Shapes and the face frame: worked by hand."""

import numpy as np
import pytest

from pipeline_lib.data.occlusion.canvas import Canvas, coverage, ribbon, smooth_line, smooth_outline
from pipeline_lib.data.occlusion.frame import face_frame

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)


def square(x0, y0, x1, y1):
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)


def test_coverage_of_squares():
    """A square from pixel border to pixel border covers those pixels wholly; one of half a pixel covers about half."""
    covered = coverage(square(1.5, 2.5, 5.5, 4.5), (8, 8))
    assert (covered[3:5, 2:6] == 1).all()
    # OpenCV also fills the subpixels its outline runs through: at most one of four beyond the border
    assert covered.sum() == pytest.approx(8, abs=12 * 0.25 + 4 * 0.0625)
    assert coverage(square(2.5, 2.5, 4.5, 3.0), (8, 8))[3, 3] == pytest.approx(0.5, abs=0.25)


def test_shapes_outside_the_image_cover_nothing_and_shapes_across_its_border_are_cut():
    assert not coverage(square(-30, -30, -20, -20), (8, 8)).any()
    assert not coverage(square(200, 0, 300, 5), (8, 8)).any()
    assert (coverage(square(-50, -50, 50, 50), (8, 8)) == 1).all()
    slanted = coverage(np.array([[-40.0, 0], [-2, 40], [-40, 40]]), (50, 8))  # ends 2 px left of the image
    assert not slanted.any()


def test_painting_blends_by_opacity_and_remembers():
    image = np.zeros((10, 10, 3), np.uint8)
    image[:, :, 0] = 100  # coloured, so that colours are taken as given
    canvas = Canvas(image)
    canvas.paint("patch", square(1.5, 1.5, 6.5, 6.5), (200, 50, 10), opacity=0.25)
    assert canvas.image()[4, 4].tolist() == [125, 12, 2]  # 0.75 * (100, 0, 0) + 0.25 * (200, 50, 10), ties to even
    assert (canvas.image()[8:] == image[8:]).all()
    assert canvas.parts == [
        {
            "part": "patch",
            "points": [[1.5, 1.5], [6.5, 1.5], [6.5, 6.5], [1.5, 6.5]],
            "colour": [200, 50, 10],
            "opacity": 0.25,
            "clipped": False,
        }
    ]


def test_a_clipped_part_stays_within_its_body():
    image = np.full((20, 20, 3), (90, 60, 30), np.uint8)
    canvas = Canvas(image)
    body = canvas.paint("body", square(3, 3, 9, 9), (255, 0, 0))
    once = canvas.image()
    canvas.paint("detail", square(0, 0, 19, 19), (0, 255, 0), within=body)
    assert np.array_equal(canvas.image()[body == 0], image[body == 0])
    assert not np.array_equal(canvas.image(), once)


def test_curves_pass_through_their_corners():
    corners = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], np.float32)
    closed = smooth_outline(corners, 5)
    assert np.allclose(closed[::5], corners)
    line = smooth_line(corners, 5)
    assert np.allclose(line[::5], corners)
    straight = smooth_line(np.array([[0, 0], [1, 1], [2, 2]], np.float32))
    assert np.allclose(straight[:, 0], straight[:, 1])


def test_a_ribbon_has_its_width():
    outline = ribbon(np.array([[0, 0], [5, 0], [10, 0]], np.float32), 3.0)
    assert outline[:, 1].tolist() == [1.5, 1.5, 1.5, -1.5, -1.5, -1.5]
    tapered = ribbon(np.linspace((0, 0), (10, 0), 11).astype(np.float32), 2.0, tapered=True)
    assert abs(tapered[0, 1]) < 0.1
    assert abs(tapered[5, 1]) == pytest.approx(1.0)


def test_the_frame_of_the_template():
    frame = face_frame(TEMPLATE)
    assert np.allclose(frame.across, [1, 0], atol=0.01)  # the template is upright to a quarter of a degree
    assert frame.scale_px == pytest.approx(35.3, abs=0.2)  # eyes 35.24 apart; 0.87 * 40.69 = 35.40
    assert abs(frame.turn) < 0.02
    p = frame.to_face(TEMPLATE)[:, 1]
    assert p[:2].max() == pytest.approx(0, abs=1e-5)
    assert p[3:].mean() == pytest.approx(1, abs=1e-5)


def test_frame_coordinates_come_back_also_for_a_turned_face():
    turned = TEMPLATE + np.array([[4, 0], [-9, 1], [12, 0], [3, 0], [-5, 2]])
    frame = face_frame(turned)
    assert frame.turn > 0.4
    assert frame.half_widths_px[0] > frame.half_widths_px[1]  # the nose points right: the right cheek is foreshortened
    assert frame.shows(0)
    assert not frame.shows(1)
    points = np.random.default_rng(0).uniform(-1.5, 2, (50, 2))
    assert np.allclose(frame.to_face(frame.to_image(points)), points, atol=1e-4)  # float32 of values up to 112


def test_the_frame_turns_moves_and_grows_with_the_face():
    angle = 0.3
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    moved = face_frame(1.7 * TEMPLATE @ rotation + (5, -3))
    points = np.random.default_rng(0).uniform(-1.5, 2, (50, 2))
    expected = 1.7 * face_frame(TEMPLATE).to_image(points) @ rotation + (5, -3)
    # the template's eyes are not quite level, so "the lower eye" may change with the tilt: 0.2 px, enlarged
    assert np.allclose(moved.to_image(points), expected, atol=0.8)


def test_a_mirrored_face_has_the_mirrored_frame():
    turned = TEMPLATE + np.array([[4, 0], [-9, 1], [12, 0], [3, 0], [-5, 2]])
    mirrored = (turned * (-1, 1) + (111, 0))[[1, 0, 2, 4, 3]]
    points = np.random.default_rng(0).uniform(-1.5, 2, (50, 2))
    expected = face_frame(turned).to_image(points) * (-1, 1) + (111, 0)
    assert np.allclose(face_frame(mirrored).to_image(points * (-1, 1)), expected, atol=1e-3)  # float32 pixels
