"""What a process does with a batch of the manifest: read, decode, detect, choose, align."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.data.faces.align_photo import align_chosen
from pipeline_lib.data.faces.detection.build import make_detector
from pipeline_lib.data.faces.detection.face import Detector, Face, Image
from pipeline_lib.data.faces.given_face import align_given, is_given
from pipeline_lib.data.faces.rejects import FaceReject, reject_row
from pipeline_lib.data.photos.photo import PhotoError, decode_photo
from pipeline_lib.data.photos.place import Place, read_photo
from pipeline_lib.params.align import Align

# Photographs are decoded and detected in runs of about this size: a batch of 32 gigantic ones must not fill the memory.
RUN_PIXELS = 16_000_000


@dataclass(frozen=True, eq=False)
class AlignedFace:
    """One photograph that came out.

    Attributes:
        image_id, identity, split: of the manifest.
        image: uint8 RGB (112, 112, 3).
        landmarks: float32 (5, 2), px of `image`.
        face: as detected, px of the photograph.
    """

    image_id: str
    identity: str
    split: str
    image: Image
    landmarks: npt.NDArray[np.float32]
    face: Face


Row = Mapping[str, Any]
Outcome = AlignedFace | dict[str, object]


def align_batch(rows: Sequence[Row], align: Align, weights: Path | None, root: Path, max_pixels: int) -> list[Outcome]:
    """Align the photographs of some rows of the manifest.

    Args:
        rows: mappings with image_id, identity, split and uri, and where they are not null offset, length, faces and landmarks.
        align: the section; its `weights` are not looked at.
        weights: see detection.build.detector_weights.
        root: the folder that `uri` starts from; absolute, since a worker of another machine has its own working directory.
        max_pixels: see decode_photo.

    Returns:
        for each row, in order, the aligned face or a row of the rejects table (reasons of PhotoError and FaceReject).
    """
    largest_only = align.several_faces == "largest"
    detector = _process_detector(align.detector, weights, align.min_score, align.min_face_px, largest_only)
    outcomes: list[Outcome] = []
    for run in _decoded_runs(rows, root, max_pixels):
        searched = [image for row, image in run if not isinstance(image, PhotoError) and not is_given(row)]
        found = iter(detector.detect(searched))
        for row, image in run:
            try:
                if isinstance(image, PhotoError):
                    raise image
                if is_given(row):
                    aligned, landmarks, face = align_given(row, image)
                else:
                    aligned, landmarks, face = align_chosen(image, next(found), align.several_faces, align.min_face_px)
            except (PhotoError, FaceReject) as error:
                outcomes.append(reject_row(str(row["image_id"]), str(row["uri"]), "align", error.reason, error.detail))
                continue
            image_id, identity, split = (str(row[column]) for column in ("image_id", "identity", "split"))
            outcomes.append(AlignedFace(image_id, identity, split, aligned, landmarks, face))
    return outcomes


def crashed_row(row: Row, how: str) -> dict[str, object]:
    """A row of the rejects table for a photograph that ends every process which decodes it or looks for faces in it.

    Args:
        row: as align_batch takes it.
        how: the process ended.
    """
    return reject_row(str(row["image_id"]), str(row["uri"]), "align", "crashed", how)


def _decoded_runs(rows: Sequence[Row], root: Path, max_pixels: int) -> Iterator[list[tuple[Row, Image | PhotoError]]]:
    run: list[tuple[Row, Image | PhotoError]] = []
    num_pixels = 0
    for row in rows:
        image = _decode(Place(root / str(row["uri"]), row.get("offset"), row.get("length")), max_pixels)
        run.append((row, image))
        num_pixels += 0 if isinstance(image, PhotoError) else image.shape[0] * image.shape[1]
        if num_pixels >= RUN_PIXELS:
            yield run
            run, num_pixels = [], 0
    if run:
        yield run


def _decode(place: Place, max_pixels: int) -> Image | PhotoError:
    try:
        return decode_photo(read_photo(place, max_pixels), max_pixels)
    except PhotoError as error:  # also where it is gone or has grown since the manifest was written
        return error


@lru_cache(maxsize=1)
def _process_detector(
    kind: str, weights: Path | None, min_score: float, min_face_px: int, largest_only: bool
) -> Detector:
    """This process's detector, built at its first batch. Processes share the GPUs where there are any."""
    if kind == "dlib":
        return make_detector(kind, weights, min_score, min_face_px, largest_only=largest_only)
    import torch

    num_gpus = torch.cuda.device_count()
    device = f"cuda:{os.getpid() % num_gpus}" if num_gpus else "cpu"
    return make_detector(kind, weights, min_score, min_face_px, device, largest_only=largest_only)
