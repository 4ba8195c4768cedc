"""Landmarks of a face in a box from dlib's 5-point predictor (King 2017; in the public domain)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.dlib_files import package_file
from pipeline_lib.core.errors import ParamsError
from pipeline_lib.core.geometry import TEMPLATE
from pipeline_lib.data.faces.detection.face import Image
from pipeline_lib.data.faces.detection.retinaface_boxes import Floats

FILE = "shape_predictor_5_face_landmarks.dat"
# Where its last point, the base of the nose, lies in an aligned face, px: that of the shape by which dlib cuts its recogniser's
# chips (get_face_chip_details), carried from the chip into our crop (see networks/backbones/dlib_resnet.py).
BASE = 55.91 + 78.86j


def open_predictor(file: str) -> tuple[Any, Any]:
    """dlib's class of rectangles, and its shape predictor of a file of face_recognition_models.

    Raises:
        ParamsError: dlib or face_recognition_models is not installed.
    """
    model = package_file(file)
    try:
        import dlib
    except ImportError:
        raise ParamsError(
            "dlib's landmarks need the package dlib-bin.",
            got="not installed",
            allowed="pip install dlib-bin==20.0.1.post1",
        ) from None
    return dlib.rectangle, dlib.shape_predictor(str(model))


class FivePoints:
    """Finds eye corners and the base of the nose, and makes of them the landmarks that an aligned face has.

    Threads may share it.

    Raises:
        ParamsError: see open_predictor.
    """

    def __init__(self) -> None:
        self._rectangle, self._predictor = open_predictor(FILE)

    def __call__(self, image: Image, boxes: Sequence[Floats] | Floats) -> list[Floats]:
        """Landmarks of the face in each box.

        Args:
            image: uint8 RGB (H, W, 3), contiguous.
            boxes: float32 (4,), x0 y0 x1 y1, whole numbers; the last row and column are those before x1 and y1.

        Returns:
            float32 (5, 2) each, px of the image, see landmarks_of.
        """
        found = []
        for x0, y0, x1, y1 in (map(int, box) for box in boxes):
            shape = self._predictor(image, self._rectangle(x0, y0, x1 - 1, y1 - 1))
            found.append(landmarks_of(np.array([[part.x, part.y] for part in shape.parts()])))
        return found


def landmarks_of(points: npt.NDArray[np.number]) -> Floats:
    """Eyes, tip of the nose and mouth corners of the face whose eye corners and base of the nose these are.

    An eye is the middle of its corners. Tip of the nose and mouth, which no point shows, stand to the base of the nose as in the
    template, at the eyes' distance and turn: with points as complex numbers, t of TEMPLATE and q found,

        landmark_j = q_base + (eye_right - eye_left) / (t_right - t_left) (t_j - BASE)

    so that they move with the nose when the head turns. On 43 annotated faces eyes are off by 0.03 of their distance, the tip
    of the nose by 0.09, mouth corners by 0.2. An alignment by the similarity that fits dlib's whole shape best would hang on the
    eyes, in which profiles differ most from the template, and verified pairs with profiles worse (docs/results.md).

    Args:
        points: (5, 2) px: of the eye on the right of the picture the outer and the inner corner, of the other one likewise, the
            base of the nose.

    Returns:
        float32 (5, 2) px, in the order of TEMPLATE.
    """
    right_outer, right_inner, left_outer, left_inner, base = _complex(points)
    left, right = (left_outer + left_inner) / 2, (right_outer + right_inner) / 2
    template = _complex(TEMPLATE)
    turn = (right - left) / (template[1] - template[0])
    found = np.array([left, right, *(base + turn * (template[2:] - BASE))])
    return np.stack([found.real, found.imag], axis=1).astype(np.float32)


def _complex(points: npt.NDArray[np.number]) -> npt.NDArray[np.complex128]:
    return points[:, 0].astype(np.float64) + 1j * points[:, 1].astype(np.float64)
