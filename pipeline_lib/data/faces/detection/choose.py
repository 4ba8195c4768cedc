"""The choice of the one face that a photograph stands for."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.data.faces.detection.face import Face
from pipeline_lib.data.faces.rejects import FaceReject

SEVERAL_FACES = ("reject", "largest", "centre", "box")
MIN_IOU = 0.1  # with a stated box; one of three times the face's side that holds it whole has 0.11 of it


def choose_face(
    faces: Sequence[Face],
    image_size: tuple[int, int],
    several_faces: str,
    min_face_px: int,
    box: Sequence[float] | None = None,
) -> Face:
    """The one face that a photograph stands for.

    A face whose box has a side shorter than `min_face_px` does not count: a small bystander neither is chosen nor
    makes a photograph one of several faces.

    Args:
        faces: what the detector found, all at or above its min_score.
        image_size: (height, width) of the photograph, px.
        several_faces: if more than one counts: reject refuses the photograph, largest takes the largest box area,
            centre the box centre nearest to the picture's centre, box the one of the highest IoU with `box`. Ties go to the
            higher score, then to the first.
        min_face_px: px.
        box: where the face is said to be, x0 y0 x1 y1 px; only the policy box looks at it, also where one face counts, for
            that may be a bystander. None: nothing is said, and the policy box is reject.

    Raises:
        FaceReject: no_face, several_faces, too_small, or not_in_box (every IoU is below MIN_IOU).
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
    if len(counted) > 1 and (several_faces == "reject" or (several_faces == "box" and box is None)):
        raise FaceReject("several_faces", f"{len(counted)} faces of at least {min_face_px} px")
    if several_faces == "box" and box is not None:
        badness = -iou_with(boxes, np.array(box, np.float64))
        if (best := -badness[counted].min()) < MIN_IOU:
            raise FaceReject(
                "not_in_box", f"the nearest of {len(counted)} has an IoU of {best:.2f} with the stated box"
            )
    elif several_faces == "centre":
        centre = np.array([image_size[1], image_size[0]]) / 2.0
        badness = np.hypot(*((boxes[:, :2] + boxes[:, 2:]) / 2.0 - centre).T)
    else:
        badness = -sides.prod(axis=1)
    return faces[min(counted, key=lambda index: (badness[index], -faces[index].score))]


def iou_with(boxes: npt.NDArray[np.float64], box: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """IoU of each of (N, 4) boxes x0 y0 x1 y1, which have areas, with one box (4,): float64 (N,)."""
    shared = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    overlap = np.prod(np.maximum(shared, 0.0), axis=1)
    union = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2]) - overlap
    return np.asarray(overlap / union, np.float64)
