"""From a decoded photograph to its one aligned face, for the align stage and the registered verifier."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.faces.alignment import align_face
from pipeline_lib.data.faces.detection.choose import choose_face
from pipeline_lib.data.faces.detection.face import Detector, Face
from pipeline_lib.data.faces.rejects import FaceReject

Aligned = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], Face]


def align_photo(image: npt.NDArray[np.uint8], detector: Detector, several_faces: str, min_face_px: int) -> Aligned:
    """Detect, choose and align.

    Args:
        image: uint8 RGB (H, W, 3), upright.
        detector: see detection.build.make_detector.
        several_faces, min_face_px: see choose_face.

    Returns:
        aligned: uint8 RGB (112, 112, 3).
        landmarks: float32 (5, 2), px of the aligned image.
        face: the chosen one, px of the photograph.

    Raises:
        FaceReject: no_face, several_faces, too_small or bad_landmarks.
    """
    return align_chosen(image, detector.detect([image])[0], several_faces, min_face_px)


def align_chosen(
    image: npt.NDArray[np.uint8],
    faces: list[Face],
    several_faces: str,
    min_face_px: int,
    box: Sequence[float] | None = None,
) -> Aligned:
    """align_photo after detection; see there, and for `box` choose_face."""
    face = choose_face(faces, (image.shape[0], image.shape[1]), several_faces, min_face_px, box)
    try:
        aligned, landmarks = align_face(image, face.landmarks)
    except DataError as error:
        raise FaceReject("bad_landmarks", str(error).splitlines()[0]) from error
    return aligned, landmarks, face
