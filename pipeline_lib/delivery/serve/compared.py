"""Two photographs to an answer, or one to who it shows: which face is meant, then what the command line asks too."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.data.faces.detection.choose import choose_face
from pipeline_lib.data.faces.detection.face import Face
from pipeline_lib.data.faces.rejects import FaceReject
from pipeline_lib.data.photos.photo import PhotoError
from pipeline_lib.delivery.identify.answer import Asked, Identification, identify_face
from pipeline_lib.delivery.identify.model import Opened
from pipeline_lib.delivery.serve.asked import IdentifyAsked, VerifyAsked
from pipeline_lib.delivery.serve.body import Photograph
from pipeline_lib.delivery.serve.limits import Refused
from pipeline_lib.delivery.verifier.answers import PICTURES, Comparison, as_row
from pipeline_lib.delivery.verifier.chosen import ChosenFace
from pipeline_lib.delivery.verifier.verifier import Verifier, in_words

NOT_SENT = ("maps", *PICTURES)  # as `verify --json` leaves them out


@dataclass(frozen=True)
class Seen:
    """A photograph as the detector saw it.

    Attributes:
        field: image_a, image_b or image.
        photograph: as it was sent.
        pixels: uint8 (H, W, 3).
        faces: those that count, from left to right.
        chosen: which of them is meant, from 0; None where that must be asked.
    """

    field: str
    photograph: Photograph
    pixels: npt.NDArray[np.uint8]
    faces: Sequence[Face]
    chosen: int | None


def see(verifier: Verifier, field: str, photograph: Photograph, number: int | None, ask: bool) -> Seen:
    """Find a photograph's faces, and which is meant: the only one, the one of that number, or the verifier's own choice.

    Args:
        number: counted from 1, as was asked for.
        ask: leave it open where there are several and no number, in place of the verifier's choice.

    Raises:
        Refused: it is no picture, has no face, none of that number, or several among which the verifier does not choose (422).
    """
    align = verifier.settings.align
    try:
        pixels, faces = verifier.faces(photograph.data)
        if number is not None and faces:
            if number > len(faces):
                raise Refused(422, f"{field} has no such face.", got=number, allowed=f"1 to {len(faces)}")
            return Seen(field, photograph, pixels, faces, number - 1)
        if ask and len(faces) > 1:
            return Seen(field, photograph, pixels, faces, None)
        size = (pixels.shape[0], pixels.shape[1])
        one = choose_face(faces, size, align.several_faces, align.min_face_px)
    except (PhotoError, FaceReject) as error:
        more: dict[str, object] = {"reason": error.reason}
        if error.reason == "several_faces":
            more["faces"] = {field: [face.box.round(1).tolist() for face in faces]}
        raise Refused(422, f"{field}: {in_words(error)}", more=more) from error
    return Seen(field, photograph, pixels, faces, next(i for i, face in enumerate(faces) if face is one))


def compare(opened: Opened, seen: tuple[Seen, Seen], asked: VerifyAsked) -> Comparison:
    """The answer about the chosen faces, explained, without its picture.

    Raises:
        Refused: a face cannot be aligned (422).
        DataError, ParamsError: see Verifier.compare.
    """
    a, b = (ChosenFace(one.photograph.data, one.faces[_sure(one)]) for one in seen)
    options = {"method": asked.method, "check": asked.check, "fmr": asked.fmr, "threshold": asked.threshold}
    (answer,) = opened.verifier.compare([(a, b)], explain=True, draw=False, **options)  # type: ignore[arg-type]
    if answer.error is not None:
        raise Refused(422, answer.error)
    return answer


def told(opened: Opened, answer: Comparison) -> dict[str, Any]:
    """The answer's row, with what is to be known of the model that gave it."""
    return {**as_row(answer, explained=True), "note": opened.note}


def as_json(opened: Opened, answer: Comparison) -> dict[str, Any]:
    """What `verify --json` prints."""
    shown = {name: value for name, value in told(opened, answer).items() if name not in NOT_SENT}
    return {**shown, "model": opened.name}


def identify(opened: Opened, seen: Seen, gallery: Path, asked: IdentifyAsked, pictures: bool) -> Identification:
    """Who of the gallery the chosen face may be; photographs that are new there are looked at now.

    Raises:
        Refused: the face cannot be aligned (422).
        DataError, ParamsError: see identify_face.
    """
    try:
        image = opened.verifier.aligned(seen.photograph.data, seen.faces[_sure(seen)])
    except FaceReject as error:
        raise Refused(422, f"{seen.field}: {in_words(error)}", more={"reason": error.reason}) from error
    wanted = Asked(asked.top, asked.fpir, asked.rerank, pictures)
    return identify_face(opened, image, seen.photograph.name, gallery, None, wanted, num_workers=0)


def _sure(seen: Seen) -> int:
    assert seen.chosen is not None, "who is meant is asked first"
    return seen.chosen
