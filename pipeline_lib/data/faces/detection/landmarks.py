"""Landmarks of a face in a box from dlib's 5-point predictor (King 2017; in the public domain)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.dlib_files import package_file
from pipeline_lib.core.errors import ParamsError
from pipeline_lib.core.geometry import TEMPLATE
from pipeline_lib.data.faces.detection.face import Image
from pipeline_lib.data.faces.detection.retinaface_boxes import Floats

FILE = "shape_predictor_5_face_landmarks.dat"
# Where its points lie in an aligned face, px: of the eye on the right of the picture the outer and the inner corner, of the
# other eye likewise, the base of the nose. It is the shape that dlib cuts its recogniser's chips by (get_face_chip_details),
# carried from the chip into our crop (see networks/backbones/dlib_resnet.py).
CORNERS = np.array([[80.69, 51.07], [66.37, 52.11], [31.13, 51.09], [45.45, 52.12], [55.91, 78.86]])


class FivePoints:
    """Finds eye corners and the base of the nose, and makes of them the landmarks that an aligned face has.

    Threads may share it.

    Raises:
        ParamsError: dlib or face_recognition_models is not installed.
    """

    def __init__(self) -> None:
        model = package_file(FILE)
        try:
            import dlib
        except ImportError:
            raise ParamsError(
                "dlib's landmarks need the package dlib-bin.",
                got="not installed",
                allowed="pip install dlib-bin==20.0.1.post1",
            ) from None
        self._rectangle = dlib.rectangle
        self._predictor = dlib.shape_predictor(str(model))

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


def landmarks_of(corners: npt.NDArray[np.integer]) -> Floats:
    """Eyes, tip of the nose and mouth corners of the face whose eye corners and base of the nose these are.

    The similarity that carries CORNERS onto the found points, in the sense of least squares, carries TEMPLATE along; an
    alignment by what comes out thus is the one that fits the found points best. With points as complex numbers, p of CORNERS,
    t of TEMPLATE and q found:

        c = sum conj(p_i - mean p) q_i / sum |p_i - mean p|^2,    landmark_j = mean q + c (t_j - mean p)

    which is a fixed combination of the q for each landmark, found points that coincide included. The eyes are off by 0.04 of
    their distance, tip of the nose and mouth, which no point shows, by 0.17 to 0.20 (43 annotated faces).

    Args:
        corners: (5, 2) px, in the order of CORNERS.

    Returns:
        float32 (5, 2) px, in the order of TEMPLATE.
    """
    found = WEIGHTS @ _complex(corners)
    return np.stack([found.real, found.imag], axis=1).astype(np.float32)


def _complex(points: npt.NDArray[np.number]) -> npt.NDArray[np.complex128]:
    return points[:, 0].astype(np.float64) + 1j * points[:, 1].astype(np.float64)


def _weights() -> npt.NDArray[np.complex128]:
    """(5, 5): what each landmark takes of each found point."""
    p, t = _complex(CORNERS), _complex(TEMPLATE)
    away = p - p.mean()
    weights: npt.NDArray[np.complex128] = 1 / len(p) + np.outer(t - p.mean(), away.conj()) / (np.abs(away) ** 2).sum()
    return weights


WEIGHTS = _weights()
