"""Faces that need no detector: their landmarks are stated, or they are aligned already (params.ingest.Source.faces)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.geometry import FACE_PX, TEMPLATE
from pipeline_lib.data.faces.align_photo import Aligned
from pipeline_lib.data.faces.alignment import align_face
from pipeline_lib.data.faces.detection.face import Face, Image
from pipeline_lib.data.faces.rejects import FaceReject
from pipeline_lib.params.ingest import DETECT

NARROW_PX = 96  # MobileFaceNet's and SphereFace's template: 8 px of either side are cut off


def is_given(row: Mapping[str, Any]) -> bool:
    """Whether a row of the manifest says where the face is."""
    return row.get("faces") not in (None, DETECT)


def align_given(row: Mapping[str, Any], image: Image) -> Aligned:
    """The aligned face of such a row; see align_photo.

    Its score is 1. The box is that of the landmarks, or the picture of an aligned face, to which black columns are added where
    it is 96 px wide.

    Raises:
        FaceReject: bad_landmarks; not_aligned, a picture of another size.
    """
    if row["faces"] == "aligned":
        return _as_it_is(image)
    if row["landmarks"] is None:
        raise FaceReject("bad_landmarks", "the source states none")
    landmarks = np.asarray(row["landmarks"], np.float32).reshape(-1, 2)
    try:
        aligned, moved = align_face(image, landmarks)
    except DataError as error:
        raise FaceReject("bad_landmarks", str(error).splitlines()[0]) from error
    box = np.concatenate([landmarks.min(axis=0), landmarks.max(axis=0)])
    return aligned, moved, Face(box, 1.0, landmarks)


def _as_it_is(image: Image) -> Aligned:
    height, width = image.shape[:2]
    if height != FACE_PX or width not in (FACE_PX, NARROW_PX):
        allowed = f"{FACE_PX}x{FACE_PX} or {NARROW_PX}x{FACE_PX}"
        raise FaceReject("not_aligned", f"it has {width}x{height} px; an aligned face has {allowed}")
    margin = (FACE_PX - width) // 2
    wide = np.pad(image, ((0, 0), (margin, margin), (0, 0)))
    box = np.array([0, 0, width, height], np.float32)
    return wide, TEMPLATE.copy(), Face(box, 1.0, TEMPLATE - np.array([margin, 0], np.float32))
