"""The choice of the one face that a photograph stands for."""

from collections.abc import Sequence

import numpy as np

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.data.faces.detection.face import Face
from pipeline_lib.data.faces.rejects import FaceReject

SEVERAL_FACES = ("reject", "largest", "centre")


def choose_face(faces: Sequence[Face], image_size: tuple[int, int], several_faces: str, min_face_px: int) -> Face:
    """The one face that a photograph stands for.

    A face whose box has a side shorter than `min_face_px` does not count: a small bystander neither is chosen nor
    makes a photograph one of several faces.

    Args:
        faces: what the detector found, all at or above its min_score.
        image_size: (height, width) of the photograph, px.
        several_faces: if more than one counts: reject refuses the photograph, largest takes the largest box area,
            centre the box centre nearest to the picture's centre. Ties go to the higher score, then to the first.
        min_face_px: px.

    Raises:
        FaceReject: no_face, several_faces or too_small.
        ParamsError: an unknown policy.
    """
    if several_faces not in SEVERAL_FACES:
        raise ParamsError(
            "There is no such policy.", got=several_faces, allowed=", ".join(SEVERAL_FACES), where="align.several_faces"
        )
    if not faces:
        raise FaceReject("no_face", "the detector found none")
    boxes = np.stack([face.box for face in faces]).astype(np.float64)
    sides = boxes[:, 2:] - boxes[:, :2]
    counted = [int(index) for index in np.flatnonzero(sides.min(axis=1) >= min_face_px)]
    if not counted:
        raise FaceReject(
            "too_small", f"the largest of {len(faces)} is {sides.min(axis=1).max():.0f} px, below {min_face_px} px"
        )
    if len(counted) > 1 and several_faces == "reject":
        raise FaceReject("several_faces", f"{len(counted)} faces of at least {min_face_px} px")
    if several_faces == "centre":
        centre = np.array([image_size[1], image_size[0]]) / 2.0
        badness = np.hypot(*((boxes[:, :2] + boxes[:, 2:]) / 2.0 - centre).T)
    else:
        badness = -sides.prod(axis=1)
    return faces[min(counted, key=lambda index: (badness[index], -faces[index].score))]
