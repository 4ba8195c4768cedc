"""Which of the true faces each detector finds, how many that are none, and how far its landmarks are off.

    python -m benchmarks.detector_recall          $FACES_DIR/detect/dlib_faces, every detector that can be built there

Nine photographs have 43 true boxes in training.xml and testing.xml. A face is found if a box of the detector has an IoU of at
least MIN_IOU with its true one, each box counting for one face, the best pairs first; boxes that are left are false, unless they
lie on a face that the tables mark as to be ignored. dlib's and mmod's boxes are squares from brow to chin as the true ones are;
RetinaFace's go up to the hairline, so a stricter threshold would judge the convention. The 68 landmarks are those of dlib's
68-point predictor (so the table says), not of people: an error is a distance from it. It is the mean distance of the five
points from those of the 68 (the middle of each eye's six, tip of the nose, mouth corners), as a share of that between the eyes.
"""

import os
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.common import report
from pipeline_lib.core.errors import DownloadError, ParamsError
from pipeline_lib.data.faces.detection.build import make_detector
from pipeline_lib.data.faces.detection.choose import iou_with
from pipeline_lib.data.faces.detection.face import Face, Image
from pipeline_lib.data.photos.photo import decode_photo

MIN_IOU = 0.4
SMALL_PX = 50  # of a true box; the smallest has 37
MIN_FACE_PX = (30, 60)
MAX_PIXELS = 50_000_000
TABLES = ("training_with_face_landmarks.xml", "testing_with_face_landmarks.xml")
MOBILENET = "retinaface_mobilenet0.25_fd1mb.pth"
# Kind, weights below FACES_DIR, min_score: the usual one of each.
DETECTORS = (
    ("dlib", None, 0.0),
    ("mmod", None, 0.0),
    ("retinaface_mobilenet", f"weights/{MOBILENET}", 0.9),
    ("retinaface_resnet50", "weights/retinaface_resnet50_2020-07-20-f168fae3c.zip", 0.9),
)


@dataclass(frozen=True, eq=False)
class Truth:
    """Of one photograph: true boxes (N, 4) x0 y0 x1 y1, five points of each (N, 5, 2), and boxes to be ignored (M, 4)."""

    boxes: npt.NDArray[np.float64]
    points: npt.NDArray[np.float64]
    ignored: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """Sides of the true faces that were found and missed, px, errors of those found, and how many false ones there are."""

    found_px: list[float]
    missed_px: list[float]
    errors: list[float]
    num_false: int


def read_truth(folder: Path) -> dict[str, Truth]:
    """The tables of dlib's example faces, by file name."""
    truth = dict[str, Truth]()
    for table in TABLES:
        for image in ET.parse(folder / table).iter("image"):
            boxes = [*image.iter("box")]
            counted = [box for box in boxes if "ignore" not in box.attrib]
            ignored = [_corners(box) for box in boxes if "ignore" in box.attrib]
            corners, points = [_corners(box) for box in counted], [_five_points(box) for box in counted]
            arrays = np.array(corners).reshape(-1, 4), np.array(points).reshape(-1, 5, 2), np.array(ignored)
            truth[image.attrib["file"]] = Truth(arrays[0], arrays[1], arrays[2].reshape(-1, 4))
    return truth


def judge(truth: Truth, faces: Sequence[Face]) -> Judged:
    """What of the true faces of a photograph was found."""
    boxes = np.array([face.box for face in faces], np.float64).reshape(-1, 4)
    ious = np.array([iou_with(boxes, true) for true in truth.boxes]).reshape(len(truth.boxes), len(faces))
    sides = [float(box[2] - box[0]) for box in truth.boxes]
    match = dict[int, int]()
    for index in np.argsort(-ious, axis=None, kind="stable"):
        true, found = (int(i) for i in np.unravel_index(index, ious.shape))
        if ious[true, found] >= MIN_IOU and true not in match and found not in match.values():
            match[true] = found
    errors = [landmark_error(faces[found].landmarks, truth.points[true]) for true, found in match.items()]
    left = [boxes[i] for i in range(len(faces)) if i not in match.values()]
    false = [box for box in left if not (len(truth.ignored) and iou_with(truth.ignored, box).max() >= MIN_IOU)]
    missed = [side for i, side in enumerate(sides) if i not in match]
    return Judged([sides[i] for i in match], missed, errors, len(false))


def landmark_error(points: npt.NDArray[np.floating], true: npt.NDArray[np.float64]) -> float:
    """Mean distance of five points (5, 2) from the true ones, as a share of the true distance between the eyes."""
    return float(np.hypot(*(points - true).T).mean() / np.hypot(*(true[1] - true[0])))


def _corners(box: ET.Element) -> list[float]:
    left, top, width, height = (float(box.attrib[name]) for name in ("left", "top", "width", "height"))
    return [left, top, left + width, top + height]


def _five_points(box: ET.Element) -> npt.NDArray[np.float64]:
    parts = {int(part.attrib["name"]): part for part in box.iter("part")}
    points = np.array([[float(parts[i].attrib[axis]) for axis in "xy"] for i in range(68)])
    return np.stack([points[36:42].mean(axis=0), points[42:48].mean(axis=0), points[30], points[48], points[54]])


def _row(name: str, min_face_px: int, judged: Sequence[Judged]) -> dict[str, object]:
    found, missed = (
        np.array([px for one in judged for px in getattr(one, part)]) for part in ("found_px", "missed_px")
    )
    errors = [error for one in judged for error in one.errors]
    sizes = {f"below {SMALL_PX} px": -np.inf, f"from {SMALL_PX} px": SMALL_PX}
    counts = {
        which: f"{_within(found, low)} of {_within(found, low) + _within(missed, low)}" for which, low in sizes.items()
    }
    error = {"median error": round(float(np.median(errors)), 3), "90 %": round(float(np.quantile(errors, 0.9)), 3)}
    return {
        "detector": name,
        "min_face_px": min_face_px,
        **counts,
        "false": sum(one.num_false for one in judged),
        **error,
    }


def _within(sides: npt.NDArray[np.float64], low: float) -> int:
    return int(((sides >= low) & ((sides < SMALL_PX) | (low > 0))).sum())


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    root = Path(os.environ["FACES_DIR"])
    folder = root / "detect" / "dlib_faces"
    truth = read_truth(folder)
    images: list[Image] = [decode_photo((folder / name).read_bytes(), MAX_PIXELS) for name in truth]
    rows, left_out = list[dict[str, object]](), dict[str, str]()
    for kind, weights, min_score in DETECTORS:
        path = None if weights is None else root / weights
        if path is not None and not path.is_file():
            left_out[kind] = f"no {weights}"
            continue
        for min_face_px in MIN_FACE_PX:
            try:
                detector = make_detector(kind, path, min_score, min_face_px)
            except (ParamsError, DownloadError) as error:
                left_out[kind] = str(error).splitlines()[0]
                break
            judged = [judge(*one) for one in zip(truth.values(), detector.detect(images), strict=True)]
            rows.append(_row(kind, min_face_px, judged))
    config = {"photographs": len(images), "faces": sum(len(one.boxes) for one in truth.values()), "min_iou": MIN_IOU}
    report("detector_recall", config, rows, left_out=left_out)


if __name__ == "__main__":
    main()
