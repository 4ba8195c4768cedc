"""Searching coarsely first: fewer pixels, the same largest face."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from oracles.nms import iou

from pipeline_lib.data.faces.detection.build import make_detector
from pipeline_lib.data.faces.detection.choose import choose_face
from pipeline_lib.data.faces.detection.face import Face, Image
from pipeline_lib.data.faces.detection.largest import LargestFirst
from pipeline_lib.data.photos.photo import decode_photo

Asked = list[tuple[int, int]]


class Made:
    """Finds the squares that a picture's first pixel names, from `min_face_px` on, and keeps what it was asked for."""

    def __init__(self, min_face_px: int, asked: Asked) -> None:
        self.min_face_px, self.asked = min_face_px, asked

    def detect(self, images: Sequence[Image]) -> list[list[Face]]:
        self.asked.append((self.min_face_px, len(images)))
        sides = [[int(side) * 10 for side in image[0, 0] if side] for image in images]
        return [[square(side) for side in some if side >= self.min_face_px] for some in sides]


def largest_first(min_face_px: int, asked: Asked) -> LargestFirst:
    return LargestFirst(lambda least_px: Made(least_px, asked), min_face_px)


def square(side: int) -> Face:
    return Face(np.array([0, 0, side, side], np.float32), 1.0, np.zeros((5, 2), np.float32))


def picture(longest_px: int, *sides_px: int) -> Image:
    image = np.zeros((10, longest_px, 3), np.uint8)
    image[0, 0, : len(sides_px)] = [side // 10 for side in sides_px]
    return image


def test_levels_worked_by_hand() -> None:
    """m = 60: 4,032 px / 15 = 268 allows 240 px first; 1,800 px 120; 1,799 px nothing but 60."""
    asked: Asked = []
    images = [picture(4032, 250, 60), picture(4032, 70), picture(1800, 130), picture(1799, 130, 70), picture(4032)]
    found = largest_first(60, asked).detect(images)
    assert asked == [(240, 3), (120, 3), (60, 3)]
    sides = [[int(face.box[2]) for face in faces] for faces in found]
    assert sides == [[250], [70], [130], [130, 70], []]


def test_no_photograph_is_no_search() -> None:
    assert largest_first(60, []).detect([]) == []


def test_the_largest_is_that_of_a_search_for_all() -> None:
    rng = np.random.default_rng(0)
    images = [picture(int(rng.integers(20, 6000)), *(10 * rng.integers(3, 26, 3))) for _ in range(200)]
    for every, some in zip(Made(60, []).detect(images), largest_first(60, []).detect(images), strict=True):
        assert bool(every) == bool(some)
        if some:
            chosen, expected = (choose_face(faces, (10, 10), "largest", 60) for faces in (some, every))
            assert chosen.box[2] == expected.box[2]


@pytest.mark.faces
def test_a_large_photograph_is_searched_where_it_needs_to_be(faces_dir: Path) -> None:
    """A face of some 500 px in 6 megapixels: found in a quarter of the pixels, where a whole search finds it."""
    portrait = decode_photo(sorted((faces_dir / "lfw").rglob("*.jpg"))[0].read_bytes(), 10**6)
    photo = np.full((2000, 3000, 3), 90, np.uint8)
    photo[400:1400, 900:1900] = cv2.resize(portrait, (1000, 1000), interpolation=cv2.INTER_CUBIC)
    largest = make_detector("mmod", None, 0.0, 100, largest_only=True)
    whole = make_detector("mmod", None, 0.0, 100)
    ((face,),) = largest.detect([photo])
    expected = choose_face(whole.detect([photo])[0], photo.shape[:2], "largest", 100)
    assert (
        iou(list(face.box), list(expected.box)) > 0.6
    )  # one step of a pyramid apart at most, 5/6 a side: 0.69, and a cell
    np.testing.assert_allclose(face.landmarks, expected.landmarks, atol=0.01 * float(face.box[2] - face.box[0]))
