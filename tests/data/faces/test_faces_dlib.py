"""The dlib detector's own parts; on photographs it is tested in test_faces_photos.py."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.data.faces.detection import dlib as detect_dlib
from pipeline_lib.data.faces.detection.build import make_detector
from pipeline_lib.data.faces.detection.dlib import DlibDetector
from pipeline_lib.data.synthetic.identity import sample_identity
from pipeline_lib.data.synthetic.render import render_photo


def test_nothing_in_nothing():
    detector = make_detector("dlib", None, 0.0, 40)
    assert isinstance(detector, DlibDetector)
    noise = np.random.default_rng(0).integers(0, 256, (120, 90, 3), dtype=np.uint8)
    assert detector.detect([np.zeros((1, 1, 3), np.uint8), noise, np.zeros((5, 3000, 3), np.uint8)]) == [[], [], []]
    assert detector.detect([]) == []


def test_a_view_that_is_not_contiguous_is_taken():
    image = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    assert make_detector("dlib", None, 3.0, 40).detect([image[:, ::-1, ::-1]]) == [[]]


def test_without_dlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "dlib", None)
    with pytest.raises(ParamsError, match="pip install dlib-bin"):
        make_detector("dlib", None, 0.0, 40)


def test_what_is_found_in_a_shrunk_picture_is_scaled_back(monkeypatch):
    detector = make_detector("dlib", None, 0.0, 160)
    shapes = []

    class Rectangle:
        left, top, right, bottom = (lambda self: 100), (lambda self: 50), (lambda self: 299), (lambda self: 249)

    def run(image, num_doublings, min_score):
        shapes.append((image.shape, num_doublings, min_score))
        return [Rectangle(), Rectangle()], [0.5, 1.5], [0, 0]

    monkeypatch.setattr(detector, "_detector", SimpleNamespace(run=run))
    points = np.full((5, 2), (200, 150), np.float32)
    monkeypatch.setattr(detector, "_find_landmarks", lambda image, boxes: [points for _ in boxes])
    (faces,) = detector.detect([np.zeros((1200, 2 * detect_dlib.LONGEST_SIDE_PX, 3), np.uint8)])
    assert shapes == [((600, detect_dlib.LONGEST_SIDE_PX, 3), 0, 0.0)]
    assert [face.score for face in faces] == [1.5, 0.5]
    assert faces[0].box.tolist() == [200, 100, 600, 500]
    assert faces[0].landmarks.tolist() == [[400, 300]] * 5


def test_threads_that_share_a_detector_find_what_one_finds():
    """dlib's detector keeps the picture it searches in itself: 17 of 30 answers were another picture's."""
    rng = np.random.default_rng(1)
    photos = [render_photo([sample_identity(rng)], rng, 160)[0] for _ in range(6)]
    detector = make_detector("dlib", None, 0.0, 40)
    alone = [face.landmarks for (face,) in detector.detect(photos)]
    jobs = [*range(len(photos))] * 6
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda job: detector.detect([photos[job]]), jobs))
    for job, faces in zip(jobs, found, strict=True):
        ((face,),) = faces
        np.testing.assert_array_equal(face.landmarks, alone[job])


def test_the_search_follows_the_smallest_face_that_counts(monkeypatch):
    """The window is 80 px: a photograph is doubled where a smaller face counts, and shrunk only where larger ones alone do."""
    searched = []
    for min_face_px in (20, 30, 40, 80, 100, 160, 1000):
        detector = make_detector("dlib", None, 0.0, min_face_px)
        run = lambda image, num_doublings, min_score: searched.append((image.shape[1], num_doublings)) or ([], [], [])  # noqa: E731
        monkeypatch.setattr(detector, "_detector", SimpleNamespace(run=run))
        detector.detect([np.zeros((30, 4032, 3), np.uint8)])
    assert searched == [(4032, 2), (4032, 2), (4032, 1), (4032, 0), (3226, 0), (2016, 0), (1200, 0)]


def test_small_faces_of_a_large_photograph_are_found():
    """Three faces of about 50, 109 and 174 px, which 1200 px of 4032 would leave at 15, 32 and 52 px."""
    rng = np.random.default_rng(3)
    photo = render_photo([sample_identity(rng)], rng, 250)[0]
    (original,) = make_detector("dlib", None, 0.0, 40).detect([photo])[0]
    side = original.box[2] - original.box[0]
    canvas = np.full((1500, 4032, 3), 128, np.uint8)
    for place, wanted in enumerate((50, 109, 174)):
        size = round(250 * wanted / side)
        canvas[700 : 700 + size, 500 + 1000 * place : 500 + 1000 * place + size] = cv2.resize(
            photo, (size, size), interpolation=cv2.INTER_AREA
        )
    faces = make_detector("dlib", None, 0.0, 40).detect([canvas])[0]
    assert sorted(int(face.box[0]) // 1000 for face in faces) == [0, 1, 2]
    sides = [face.box[2] - face.box[0] for face in sorted(faces, key=lambda face: face.box[0])]
    np.testing.assert_allclose(sides, [50, 109, 174], rtol=0.2)  # dlib's boxes grow in steps of a fifth
