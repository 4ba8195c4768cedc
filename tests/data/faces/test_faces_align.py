"""Five-point alignment: the transform against goldens, a numerical optimiser and its own properties; the warp."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.geometry import TEMPLATE
from pipeline_lib.data.faces.alignment import align_face, similarity_transform, transform_points


def test_golden_by_hand():
    # (1, 0) -> (3, 5), (0, 1) -> (1, 3) and (0, 0) -> (3, 3): a quarter turn (x, y) -> (-y, x), doubled, moved by (3, 3).
    src = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    dst = np.array([[3.0, 5.0], [1.0, 3.0], [3.0, 3.0]])
    expected = [[0.0, -2.0, 3.0], [2.0, 0.0, 3.0]]
    # A handful of additions in float64.
    np.testing.assert_allclose(similarity_transform(src, dst), expected, atol=1e-14)


def test_template_onto_itself_is_the_identity():
    np.testing.assert_allclose(similarity_transform(TEMPLATE, TEMPLATE), np.eye(2, 3), atol=1e-12)


@given(
    angle=st.floats(-np.pi, np.pi),
    scale=st.floats(0.05, 20.0),
    shift=st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)),
    seed=st.integers(0, 2**32 - 1),
)
def test_recovers_an_exact_similarity(angle, scale, shift, seed):
    src = np.random.default_rng(seed).uniform(0, 200, (5, 2))
    matrix = np.array(
        [
            [scale * np.cos(angle), -scale * np.sin(angle), shift[0]],
            [scale * np.sin(angle), scale * np.cos(angle), shift[1]],
        ]
    )
    dst = src @ matrix[:, :2].T + matrix[:, 2]
    # Coordinates up to about 5000 with float64's 1e-16, times the condition of five random points.
    np.testing.assert_allclose(similarity_transform(src, dst), matrix, atol=1e-7)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_is_the_least_squares_optimum(seed):
    rng = np.random.default_rng(seed)
    src, dst = rng.uniform(0, 100, (5, 2)), rng.uniform(0, 100, (5, 2))

    def residuals(p: np.ndarray) -> np.ndarray:
        turn = np.array([[np.cos(p[1]), -np.sin(p[1])], [np.sin(p[1]), np.cos(p[1])]])
        return (np.exp(p[0]) * src @ turn.T + p[2:] - dst).ravel()

    # Scale and angle as they are written in the docstring, from several angles, since the problem is not convex in them.
    found = min(least_squares(residuals, [0.0, angle, 0.0, 0.0]).cost for angle in (-2.0, 0.0, 2.0))
    matrix = similarity_transform(src, dst)
    cost = 0.5 * ((src @ matrix[:, :2].T + matrix[:, 2] - dst) ** 2).sum()
    assert cost <= found * (1 + 1e-9)  # the optimiser stops at a relative 1e-8 above the optimum at best


def test_never_shears_nor_reflects():
    mirrored = TEMPLATE * [-1.0, 1.0]
    (a, minus_b, _), (b, a_again, _) = similarity_transform(mirrored, TEMPLATE)
    assert (a, b) == (a_again, -minus_b)
    assert a * a + b * b > 0  # the determinant: positive, so no reflection though one would fit exactly


@pytest.mark.parametrize(
    ("src", "dst"),
    [
        (np.ones((5, 2)), TEMPLATE),
        (TEMPLATE, np.ones((5, 2))),
        (np.full((5, 2), np.nan), TEMPLATE),
        (TEMPLATE[:4], TEMPLATE),
        (TEMPLATE.ravel(), TEMPLATE.ravel()),
        (TEMPLATE[:1], TEMPLATE[:1]),
    ],
    ids=["coincide", "target coincides", "nan", "counts differ", "flat", "one point"],
)
def test_refuses_what_fixes_no_transform(src, dst):
    with pytest.raises(DataError):
        similarity_transform(src, dst)


def test_an_aligned_face_stays_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    aligned, landmarks = align_face(image, TEMPLATE)
    np.testing.assert_array_equal(aligned, image)
    np.testing.assert_allclose(landmarks, TEMPLATE, atol=1e-4)  # float32 at values around 100


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.9, 2.0, 3.3, 7.0])
def test_marks_in_the_picture_land_where_the_landmarks_say(scale):
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    points = scale * (TEMPLATE - 56.0) @ turn.T + scale * 90.0
    points[2] += 2.0 * scale  # not exactly similar to the template
    y, x = np.mgrid[: int(180 * scale), : int(180 * scale)]
    radius = 2.5 * scale
    for index, point in enumerate(points):
        blob = np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / (2 * radius**2))
        aligned, landmarks = align_face(np.repeat((255 * blob).astype(np.uint8)[:, :, None], 3, axis=2), points)
        weights = aligned[:, :, 0].astype(float)
        rows, columns = np.mgrid[:112, :112]
        centre = [(columns * weights).sum() / weights.sum(), (rows * weights).sum() / weights.sum()]
        # Bilinear sampling at 1/32 px and 8-bit rounding of the blob's flanks; half a pixel would be a wrong convention.
        np.testing.assert_allclose(landmarks[index], centre, atol=0.1)


def test_shrinking_averages_instead_of_skipping():
    # One-pixel stripes at four times the template's size: the mean is grey everywhere, a bare bilinear warp gives stripes.
    image = np.zeros((600, 600, 3), np.uint8)
    image[:, ::2] = 255
    aligned, _ = align_face(image, TEMPLATE * 4.0 + 1.0)
    assert np.abs(aligned[2:-2, 2:-2].astype(int) - 127).max() <= 1


def test_outside_the_picture_is_black():
    aligned, _ = align_face(np.full((60, 60, 3), 255, np.uint8), TEMPLATE)
    assert (aligned[:59, :59] == 255).all()
    assert (aligned[61:] == 0).all()
    assert (aligned[:, 61:] == 0).all()


def test_transform_points_golden():
    matrix = np.array([[0.0, -2.0, 3.0], [2.0, 0.0, 4.0]])
    moved = transform_points(matrix, np.array([[1.0, 5.0]]))
    assert moved.dtype == np.float32
    np.testing.assert_array_equal(moved, [[-7.0, 6.0]])
