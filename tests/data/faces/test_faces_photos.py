"""Detectors and alignment on real photographs with true boxes and landmarks."""

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from oracles.nms import iou

from pipeline_lib.core.geometry import TEMPLATE
from pipeline_lib.data.faces.align_photo import align_photo
from pipeline_lib.data.faces.detection.build import make_detector
from pipeline_lib.data.faces.detection.choose import choose_face
from pipeline_lib.data.photos.photo import decode_photo

pytestmark = pytest.mark.faces
MAX_PIXELS = 50_000_000


def read(path: Path) -> np.ndarray:
    return decode_photo(path.read_bytes(), MAX_PIXELS)


@pytest.fixture(scope="module")
def mobilenet(faces_dir):
    return make_detector("retinaface_mobilenet", faces_dir / "weights" / "retinaface_mobilenet0.25_fd1mb.pth", 0.9, 40)


@pytest.fixture(scope="module")
def dlib_detector():
    return make_detector("dlib", None, 0.0, 40)


@pytest.fixture(scope="module")
def mmod_detector():
    return make_detector("mmod", None, 0.0, 40)


@pytest.fixture(scope="module")
def lfw(faces_dir) -> list[np.ndarray]:
    """One photograph of each of 20 names, spread over the alphabet."""
    folders = sorted((faces_dir / "lfw" / "images").iterdir())
    return [read(sorted(folder.glob("*.jpg"))[0]) for folder in folders[:: len(folders) // 20][:20]]


def true_faces(faces_dir: Path, table: str) -> dict[str, list[ET.Element]]:
    document = ET.parse(faces_dir / "detect" / "dlib_faces" / table)
    return {
        image.attrib["file"]: [box for box in image.iter("box") if "ignore" not in box.attrib]
        for image in document.iter("image")
    }


def five_points(box: ET.Element) -> np.ndarray:
    """Of the 68 annotated iBUG points: the mean of each eye's contour, the tip of the nose, the outer mouth corners."""
    parts = {int(part.attrib["name"]): part for part in box.iter("part")}
    points = np.array([[float(parts[i].attrib[axis]) for axis in "xy"] for i in range(68)])
    return np.stack([points[36:42].mean(axis=0), points[42:48].mean(axis=0), points[30], points[48], points[54]])


def corners(box: ET.Element) -> list[float]:
    left, top, width, height = (float(box.attrib[name]) for name in ("left", "top", "width", "height"))
    return [left, top, left + width, top + height]


def test_mobilenet_finds_every_true_face_and_no_other(faces_dir, mobilenet):
    truth = true_faces(faces_dir, "training.xml") | true_faces(faces_dir, "testing.xml")
    num_true, best = 0, []
    for name, boxes in truth.items():
        (found,) = mobilenet.detect([read(faces_dir / "detect" / "dlib_faces" / name)])
        assert len(found) == len(boxes), name
        for box in boxes:
            num_true += 1
            best.append(max(iou(corners(box), face.box.tolist()) for face in found))
    assert num_true == 43
    # The true boxes are squares from brow to chin, RetinaFace's go up to the hairline: 0.52 at worst, 0.69 on average.
    assert min(best) > 0.5
    assert np.mean(best) > 0.65


# Measured medians 0.105 and 0.10 twice; most of these faces have 12 to 20 px between the eyes, so that 0.1 is 1 to 2 px.
# Of dlib's points the eyes are 0.03 off and the tip of the nose 0.09, but the mouth, which none of them shows, 0.2.
@pytest.mark.parametrize(
    ("detector", "num_found", "bound"),
    [("mobilenet", 43, 0.13), ("dlib_detector", 10, 0.12), ("mmod_detector", 10, 0.12)],
)
def test_landmarks_are_where_the_true_ones_are(faces_dir, detector, num_found, bound, request):
    finder = request.getfixturevalue(detector)
    tables = ("training_with_face_landmarks.xml", "testing_with_face_landmarks.xml")
    errors = []
    for name, boxes in (true_faces(faces_dir, tables[0]) | true_faces(faces_dir, tables[1])).items():
        (found,) = finder.detect([read(faces_dir / "detect" / "dlib_faces" / name)])
        for box in boxes:
            true = five_points(box)
            between_eyes = float(np.hypot(*(true[1] - true[0])))
            distances = [float(np.hypot(*(face.landmarks - true).T).mean()) / between_eyes for face in found]
            errors += [min(distances)] if min(distances, default=9.0) < 0.5 else []
    # Shares of the distance between the eyes; swapped or shifted points would give 0.3 and more.
    assert len(errors) >= num_found
    assert np.median(errors) < bound


@pytest.mark.parametrize("detector", ["mobilenet", "dlib_detector", "mmod_detector"])
def test_lfw_is_found_and_aligned(lfw, detector, request):
    finder = request.getfixturevalue(detector)
    for image, faces in zip(lfw, finder.detect(lfw), strict=True):
        face = choose_face(faces, image.shape[:2], "centre", 40)
        # Deep-funneled LFW is centred: eyes above the middle, mouth below, at about the middle column.
        assert np.hypot(*(face.landmarks[2] - 125)) < 35
        aligned, landmarks, _ = align_photo(image, finder, "centre", 40)
        assert aligned.shape == (112, 112, 3)
        assert aligned.std() > 15
        # A similarity cannot fit five points exactly; a frontal face stays within a few px of the template.
        assert np.hypot(*(landmarks - TEMPLATE).T).mean() < 8


def test_a_portrait_larger_than_the_anchors_is_one_face(faces_dir, mobilenet):
    image = read(faces_dir / "detect" / "dlib_faces" / "Tom_Cruise_avp_2014_4.jpg")
    (found,) = mobilenet.detect([image])
    assert len(found) == 1
    assert found[0].box[3] - found[0].box[1] > 500
    enlarged = np.repeat(np.repeat(image, 3, axis=0), 3, axis=1)
    (again,) = mobilenet.detect([enlarged])
    assert len(again) == 1
    # Enlarged by repetition and shrunk again: within 2 % of the face's size.
    np.testing.assert_allclose(again[0].box / 3, found[0].box, atol=12)
