"""The 68 landmarks of an aligned face by dlib's predictor; its training pictures (iBUG 300-W) are not for commercial use."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.dlib_files import package_file
from pipeline_lib.core.errors import ParamsError

FILE = "shape_predictor_68_face_landmarks.dat"
# Where dlib's detector sees an aligned face: the mean box of 104 of LFW's, x0 y0 x1 y1 px (spread 5 to 7 px).
BOX = (14, 27, 97, 110)


class Landmarks68:
    """Finds the outline, brows, nose, eyes and mouth.

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
        self._box = dlib.rectangle(BOX[0], BOX[1], BOX[2] - 1, BOX[3] - 1)
        self._predictor = dlib.shape_predictor(str(model))

    def __call__(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Landmarks of aligned faces, uint8 RGB (B, 112, 112, 3): float32 (B, 68, 2), x y in px."""
        found = [[(part.x, part.y) for part in self._predictor(face, self._box).parts()] for face in faces]
        return np.array(found, np.float32).reshape(len(faces), 68, 2)
