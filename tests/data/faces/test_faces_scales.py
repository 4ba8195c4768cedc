"""The two searches of RetinaFace: which size each takes, and which faces are taken from it."""

import numpy as np
import pytest

from pipeline_lib.data.faces.detection.face import Face
from pipeline_lib.data.faces.detection.retinaface_scales import merge_scales, search_twice


def test_merging_takes_each_size_from_the_search_that_sees_it():
    def face(x0: float, y0: float, side: float, score: float) -> Face:
        return Face(np.array([x0, y0, x0 + side, y0 + side], np.float32), score, np.zeros((5, 2), np.float32))

    portrait, speck = face(100, 100, 600, 0.9), face(5, 5, 40, 0.99)
    piece, wide_piece = face(150, 150, 250, 0.999), face(100, 100, 450, 0.998)
    small = face(900, 900, 50, 0.95)
    unsure_coarse, unsure_fine = face(800, 100, 205, 0.94), face(803, 102, 198, 0.97)
    merged = merge_scales([portrait, speck, unsure_coarse], [piece, wide_piece, small, unsure_fine], 1000)
    assert merged == [small, unsure_coarse, portrait]
    only_fine = face(800, 100, 201, 0.9)
    assert merge_scales([face(800, 100, 199, 0.9)], [only_fine], 1000) == [only_fine]


class Recorder:
    """Finds in each search one square face of a given side, px of the photograph, and notes the sides asked for."""

    def __init__(self, fine_px: float, coarse_px: float) -> None:
        self.fine_px, self.coarse_px = fine_px, coarse_px
        self.sides_px: list[list[int]] = []

    def __call__(self, images, sides_px):
        self.sides_px.append(list(sides_px))
        side = self.fine_px if len(self.sides_px) == 1 else self.coarse_px
        return [[Face(np.array([0, 0, side, side], np.float32), 0.9, np.zeros((5, 2), np.float32))] for _ in images]


def test_the_fine_search_is_as_fine_as_min_face_px_asks():
    images = [np.zeros((10, width, 3), np.uint8) for width in (300, 1000, 4032)]
    for min_face_px, side_px in ((10, 4032), (20, 2016), (40, 1024), (400, 1024)):
        search = Recorder(50, 50)
        search_twice(images, search, 10, 384, min_face_px)
        assert search.sides_px == [[1024, 1024, side_px], [384, 384]]
    assert search_twice([], Recorder(50, 50), 10, 384, 40) == []


@pytest.mark.parametrize(
    ("face_px", "searches"),
    [(600, "fine"), (900, "coarse")],  # of 8000 px, of which the fine search sees 4000: 300 and 450 px there, reach 384
)
def test_a_face_that_the_finer_search_sees_in_pieces_is_the_coarse_one_s(face_px, searches):
    search = Recorder(face_px - 1, face_px) if searches == "coarse" else Recorder(face_px, 50)
    ((face,),) = search_twice([np.zeros((10, 8000, 3), np.uint8)], search, 10, 384, 20)
    assert face.box[2] == face_px
