"""Anchors, decoding, suppression and the resizing before them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.nms import list_anchors, suppress

from pipeline_lib.data.faces.detection.resize import limit_longest_side, searched_side_px
from pipeline_lib.data.faces.detection.retinaface import decode_faces
from pipeline_lib.data.faces.detection.retinaface_boxes import (
    anchors,
    decode_boxes,
    decode_landmarks,
    non_maximum_suppression,
)

SIDES = ((16, 32), (64, 128), (256, 512))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (8, 8), (33, 32), (50, 71)])
def test_anchors_are_those_of_the_loops(height, width):
    np.testing.assert_array_equal(anchors(height, width, SIDES), list_anchors(height, width, [list(s) for s in SIDES]))


def test_decoding_golden():
    table = np.array([[100.0, 50.0, 20.0]], np.float32)
    # Centre moved by 0.1 * (1, -2) * 20 = (2, -4); sides 20 * exp(0.2 * (0, 5)) = (20, 20 e).
    box = decode_boxes(np.array([[1.0, -2.0, 0.0, 5.0]], np.float32), table)
    np.testing.assert_allclose(box, [[92.0, 46.0 - 10 * np.e, 112.0, 46.0 + 10 * np.e]], rtol=1e-6)  # float32
    points = decode_landmarks(np.arange(10, dtype=np.float32)[None], table)
    np.testing.assert_allclose(points[0], 2.0 * np.arange(10).reshape(5, 2) + [100.0, 50.0], rtol=1e-6)  # float32


# Whole numbers make ties and overlaps exactly at the limit likely, and both computations exact.
small_boxes = st.lists(st.tuples(*[st.integers(0, 12)] * 4, st.integers(0, 4)), max_size=25)


@settings(max_examples=200)
@given(drawn=small_boxes, max_iou=st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_suppression_is_that_of_the_loops(drawn, max_iou):
    boxes = [[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d, _ in drawn]
    scores = [float(s) for *_, s in drawn]
    kept = non_maximum_suppression(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), max_iou)
    assert kept.dtype == np.int64
    assert kept.tolist() == suppress(boxes, scores, max_iou)


@settings(max_examples=100)
@given(drawn=st.lists(st.tuples(*[st.integers(0, 12)] * 4, st.integers(0, 4), st.integers(0, 3)), max_size=25))
def test_pictures_suppressed_together_keep_what_each_keeps_alone(drawn):
    boxes = np.array([[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d, *_ in drawn], np.float32).reshape(
        -1, 4
    )
    scores, images = (np.array([one[column] for one in drawn], np.int64) for column in (4, 5))
    expected = []
    for image in range(4):
        own = np.flatnonzero(images == image)
        expected += [int(own[i]) for i in suppress(boxes[own].tolist(), scores[own].tolist(), 0.25)]
    assert non_maximum_suppression(boxes, scores.astype(np.float32), 0.25, images).tolist() == expected


def test_faces_are_given_to_their_pictures_the_highest_score_first():
    table = np.array([[50, 50, 20], [52, 50, 20], [200, 50, 20], [50, 50, 20]], np.float32)
    scores, image = np.array([0.5, 0.75, 1.0, 0.25], np.float32), np.array([0, 0, 0, 2])
    faces = decode_faces(table, np.zeros((4, 4), np.float32), scores, np.zeros((4, 10), np.float32), image, 3)
    assert [[face.score for face in of] for of in faces] == [[1.0, 0.75], [], [0.25]]  # 0.5 overlaps 0.75
    np.testing.assert_array_equal(faces[0][0].box, [190, 40, 210, 60])
    assert faces[0][0].landmarks.shape == (5, 2)


def test_a_small_picture_is_not_resized():
    image = np.zeros((30, 50, 3), np.uint8)
    same, scale = limit_longest_side(image, 50)
    assert same is image
    assert scale.tolist() == [1.0, 1.0]


def test_a_large_picture_keeps_its_shape_and_the_scale_undoes_it():
    small, scale = limit_longest_side(np.zeros((30, 2000, 3), np.uint8), 1000)
    assert small.shape == (15, 1000, 3)
    assert scale.tolist() == [2.0, 2.0]
    thin, scale = limit_longest_side(np.zeros((1, 2000, 3), np.uint8), 100)
    assert thin.shape == (1, 100, 3)
    assert scale.tolist() == [20.0, 1.0]


@pytest.mark.parametrize(
    ("longest_px", "min_face_px", "expected"),
    [
        (4032, 40, 8064),  # faces of 40 px must not get smaller: not shrunk at all
        (4032, 80, 4032),
        (4032, 160, 2016),
        (4033, 160, 2017),  # rounded up
        (4032, 800, 1200),  # the usual side suffices
        (250, 40, 1200),
    ],
)
def test_a_photograph_is_shrunk_no_further_than_its_smallest_face_allows(longest_px, min_face_px, expected):
    assert searched_side_px(longest_px, 1200, 80, min_face_px) == expected
