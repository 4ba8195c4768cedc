"""One interface for all face detectors, and the choice of the one face a photograph stands for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.data.faces.rejects import FaceReject

Image = npt.NDArray[np.uint8]
KINDS = ("dlib", "retinaface_resnet50", "retinaface_mobilenet", "retinaface_pytorch")
SEVERAL_FACES = ("reject", "largest", "centre")


@dataclass(frozen=True, eq=False)
class Face:
    """One detected face, in pixels of the photograph it was found in.

    Attributes:
        box: float32 (4,), x0 y0 x1 y1; may reach beyond the picture.
        score: the detector's own; see each detector for its range.
        landmarks: float32 (5, 2), x y of left eye, right eye, nose tip, left and right mouth corner, left and right as
            seen in the picture.
    """

    box: npt.NDArray[np.float32]
    score: float
    landmarks: npt.NDArray[np.float32]


class Detector(Protocol):
    """Finds the faces of a batch of photographs."""

    def detect(self, images: Sequence[Image]) -> list[list[Face]]:
        """All faces of each image, the highest score first; an image without faces gives an empty list.

        Args:
            images: uint8 RGB (H, W, 3), each of its own size.
        """
        ...


def make_detector(kind: str, weights: Path | None, min_score: float) -> Detector:
    """Build the detector named `kind`; its libraries are imported, and its files read, only here.

    Args:
        kind: dlib | retinaface_resnet50 | retinaface_mobilenet | retinaface_pytorch.
        weights: the checkpoint; None for a detector that brings its own or downloads it.
        min_score: lowest score of a face that is returned. dlib: margin of the HOG classifier, 0.0 is its own default,
            higher is stricter. RetinaFace: probability in (0, 1), 0.9 is usual.

    Raises:
        ParamsError: an unknown kind, a score outside the detector's range, weights for a detector that has none, or a
            package that is not installed.
        CheckpointError, DownloadError: the weights are missing or wrong.
    """
    if kind == "dlib":
        if weights is not None:
            raise ParamsError("The dlib detector takes no weights.", got=weights, allowed="null", where="align.weights")
        from pipeline_lib.data.faces.detection.dlib import DlibDetector

        return DlibDetector(min_score)
    if kind not in KINDS:
        raise ParamsError("There is no such face detector.", got=kind, allowed=", ".join(KINDS), where="align.detector")
    if not 0.0 < min_score < 1.0:
        raise ParamsError(
            f"The score of {kind} is a probability.",
            got=min_score,
            allowed="0 < min_score < 1, usually 0.9",
            where="align.min_score",
        )
    if kind == "retinaface_pytorch":
        from pipeline_lib.data.faces.detection.retinaface_package import RetinafacePytorchDetector

        return RetinafacePytorchDetector.from_weights(weights, min_score)
    from pipeline_lib.data.faces.detection.retinaface import RetinafaceDetector

    return RetinafaceDetector.from_weights(kind.removeprefix("retinaface_"), weights, min_score)


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
