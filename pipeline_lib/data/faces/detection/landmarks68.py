"""The 68 landmarks of an aligned face by dlib's predictor; its training pictures (iBUG 300-W) are not for commercial use."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.data.faces.detection.landmarks import open_predictor

FILE = "shape_predictor_68_face_landmarks.dat"
# Where dlib's detector sees an aligned face: the mean box of 104 of LFW's, x0 y0 x1 y1 px (spread 5 to 7 px).
BOX = (14, 27, 97, 110)


class Landmarks68:
    """Finds the outline, brows, nose, eyes and mouth.

    Raises:
        ParamsError: see open_predictor.
    """

    def __init__(self) -> None:
        rectangle, self._predictor = open_predictor(FILE)
        self._box = rectangle(BOX[0], BOX[1], BOX[2] - 1, BOX[3] - 1)

    def __call__(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Landmarks of aligned faces, uint8 RGB (B, 112, 112, 3): float32 (B, 68, 2), x y in px."""
        found = [[(part.x, part.y) for part in self._predictor(face, self._box).parts()] for face in faces]
        return np.array(found, np.float32).reshape(len(faces), 68, 2)
