"""The choice of one face, the detectors' parameters, and the checks on rejects."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from oracles.nms import iou

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.core.geometry import TEMPLATE
from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.data.faces.align_photo import align_photo
from pipeline_lib.data.faces.detection.build import make_detector
from pipeline_lib.data.faces.detection.choose import choose_face, iou_with
from pipeline_lib.data.faces.detection.face import Face
from pipeline_lib.data.faces.rejects import FaceReject, check_rejects, count_reasons, reject_row
from pipeline_lib.schemas.rejects import REJECTS


def face(x0: float, y0: float, x1: float, y1: float, score: float = 1.0) -> Face:
    return Face(np.array([x0, y0, x1, y1], np.float32), score, TEMPLATE)


MIDDLE, LARGE, SMALL = face(40, 40, 70, 70), face(0, 0, 50, 50), face(80, 80, 90, 90)


def test_a_single_face_is_taken():
    assert choose_face([MIDDLE], (100, 100), "reject", 30) is MIDDLE


@pytest.mark.parametrize(("policy", "chosen"), [("largest", LARGE), ("centre", MIDDLE)])
def test_policies_differ(policy, chosen):
    assert choose_face([LARGE, MIDDLE, SMALL], (100, 100), policy, 5) is chosen


def test_centre_knows_height_from_width():
    left, right = face(20, 90, 40, 110), face(180, 40, 200, 60)
    assert choose_face([left, right], (200, 100), "centre", 5) is left
    assert choose_face([left, right], (100, 300), "centre", 5) is right


def test_ties_go_to_the_higher_score_then_to_the_first():
    a, b, c = face(0, 0, 20, 20, 0.5), face(80, 80, 100, 100, 0.9), face(80, 0, 100, 20, 0.9)
    for policy in ("largest", "centre"):
        assert choose_face([a, b, c], (100, 100), policy, 5) is b


def test_bystanders_below_the_size_do_not_count():
    assert choose_face([MIDDLE, SMALL], (100, 100), "reject", 30) is MIDDLE
    assert choose_face([MIDDLE, face(0, 0, 90, 29)], (100, 100), "largest", 30) is MIDDLE


def test_the_face_at_the_stated_box_is_taken_whatever_is_larger():
    assert choose_face([LARGE, MIDDLE], (100, 100), "box", 30, [38, 45, 75, 72]) is MIDDLE
    assert choose_face([MIDDLE, LARGE], (100, 100), "box", 30, [-5, -5, 45, 45]) is LARGE
    around = face(40, 40, 60, 60)  # in a box of three times its side: an IoU of 1/9
    assert choose_face([around], (100, 100), "box", 20, [20, 20, 80, 80]) is around


def test_without_a_stated_box_several_faces_are_refused():
    assert choose_face([MIDDLE, SMALL], (100, 100), "box", 30) is MIDDLE
    with pytest.raises(FaceReject) as caught:
        choose_face([MIDDLE, LARGE], (100, 100), "box", 30)
    assert caught.value.reason == "several_faces"


@pytest.mark.parametrize("faces", [[LARGE], [LARGE, SMALL], [LARGE, face(0, 50, 50, 100)]])
def test_a_bystander_is_not_who_is_meant(faces):
    with pytest.raises(FaceReject, match=r"IoU of 0\.0") as caught:
        choose_face(faces, (100, 100), "box", 30, [60, 60, 95, 95])
    assert caught.value.reason == "not_in_box"


def test_ious_are_those_of_the_oracle():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 60, (50, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 40, (50, 2))], axis=1)
    expected = [iou(box.tolist(), boxes[0].tolist()) for box in boxes]
    np.testing.assert_allclose(iou_with(boxes, boxes[0]), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("faces", "reason"),
    [
        ([], "no_face"),
        ([MIDDLE, LARGE], "several_faces"),
        ([SMALL], "too_small"),
        ([face(0, 0, 90, 29.9)], "too_small"),
    ],
)
def test_reasons(faces, reason):
    with pytest.raises(FaceReject) as caught:
        choose_face(faces, (100, 100), "reject", 30)
    assert caught.value.reason == reason


def test_unknown_policy_names_the_key():
    with pytest.raises(ParamsError, match=r"align\.several_faces"):
        choose_face([MIDDLE], (100, 100), "best", 30)


def test_a_reject_survives_the_way_from_a_worker():
    error = pickle.loads(pickle.dumps(FaceReject("too_small", "12 px")))
    assert (error.reason, error.detail) == ("too_small", "12 px")


class OneFace:
    """A detector that always finds the same."""

    def __init__(self, landmarks: np.ndarray) -> None:
        self.landmarks = landmarks

    def detect(self, images):
        return [[Face(np.array([0, 0, 100, 100], np.float32), 0.8, self.landmarks)] for _ in images]


def test_align_photo_gives_the_face_it_used():
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    aligned, landmarks, chosen = align_photo(image, OneFace(TEMPLATE), "reject", 40)
    np.testing.assert_array_equal(aligned, image)
    np.testing.assert_allclose(landmarks, TEMPLATE, atol=1e-4)  # float32 at values around 100
    assert chosen.score == 0.8


@pytest.mark.parametrize("landmarks", [np.ones((5, 2), np.float32), np.full((5, 2), np.nan, np.float32)])
def test_landmarks_that_fix_nothing_are_a_reject(landmarks):
    with pytest.raises(FaceReject) as caught:
        align_photo(np.zeros((112, 112, 3), np.uint8), OneFace(landmarks), "reject", 40)
    assert caught.value.reason == "bad_landmarks"


@pytest.mark.parametrize(
    ("kind", "weights", "min_score", "key"),
    [
        ("mtcnn", None, 0.9, "align.detector"),
        ("dlib", Path("x.dat"), 0.0, "align.weights"),
        ("mmod", Path("x.dat"), 0.0, "align.weights"),
        ("retinaface_mobilenet", None, 0.9, "align.weights"),
        ("retinaface_mobilenet", Path("x.pth"), 0.0, "align.min_score"),
        ("retinaface_resnet50", Path("x.pth"), 1.0, "align.min_score"),
    ],
)
def test_detector_parameters_are_checked(kind, weights, min_score, key):
    with pytest.raises(ParamsError, match=key):
        make_detector(kind, weights, min_score, 40)


def rows(*reasons: str) -> list[dict[str, object]]:
    return [reject_row(f"i{n}", f"{n}.jpg", "align", reason, "why") for n, reason in enumerate(reasons)]


def test_reject_rows_fit_the_table():
    assert table_from_rows(rows("no_face"), REJECTS).to_pylist() == rows("no_face")


def test_reasons_are_counted_most_frequent_first():
    assert list(count_reasons(rows("b", "a", "c", "c")).items()) == [("c", 2), ("a", 1), ("b", 1)]


def test_accounts_that_balance_pass():
    check_rejects(10, 9, rows("no_face"), 0.1, Path("r"))
    check_rejects(10, 10, [], 0.0, Path("r"))


@pytest.mark.parametrize(
    ("num_inputs", "num_outputs", "rejects", "message"),
    [
        (10, 8, rows("no_face"), "10 in, 8 out, 1 rejected"),
        (10, 10, rows("no_face"), "10 in, 10 out, 1 rejected"),
        (10, 8, rows("no_face", "no_face"), r"2 of 10 \(20\.0%\): no_face 2"),
        (2, 0, rows("b", "a"), "a 1, b 1"),
        (0, 0, [], "there was no input"),
    ],
)
def test_accounts_that_do_not(num_inputs, num_outputs, rejects, message):
    with pytest.raises(DataError, match=message):
        check_rejects(num_inputs, num_outputs, rejects, 0.1, Path("rejects.parquet"))
