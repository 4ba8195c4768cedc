"""Occlusions on photographs: found, aligned, drawn."""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from oracles.shards_loops import inside_polygon

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.geometry import TEMPLATE
from pipeline_lib.data.faces.align_photo import align_photo
from pipeline_lib.data.faces.alignment import align_face, similarity_transform, transform_points
from pipeline_lib.data.faces.detection.build import make_detector
from pipeline_lib.data.faces.rejects import FaceReject
from pipeline_lib.data.occlusion.draw import KINDS, draw_occlusion, image_rng
from pipeline_lib.data.occlusion.frame import face_frame
from pipeline_lib.data.occlusion.template import face_points
from pipeline_lib.data.photos.photo import decode_photo

NUM_PHOTOGRAPHS = 12
# An anchor of ours -> the point or two, whose middle is taken, of the 68 that are annotated (iBUG) nearest to it.
TRUE_POINTS = {
    "chin": [8],
    "bridge": [28, 29],
    "left_cheek": [1, 2],
    "right_cheek": [14, 15],
    "left_jaw": [4],
    "right_jaw": [12],
    "left_temple": [0],
    "right_temple": [16],
}


@pytest.mark.faces
def test_masks_hide_mouths_and_sunglasses_eyes_on_photographs(faces_dir):
    people = sorted((faces_dir / "lfw" / "images").iterdir())
    chosen = [sorted(person.glob("*.jpg"))[0] for person in people[:: len(people) // NUM_PHOTOGRAPHS]]
    detector = make_detector("dlib", None, 0.0, 40)
    num_seen = 0
    for path in chosen[:NUM_PHOTOGRAPHS]:
        try:
            image, landmarks, _ = align_photo(decode_photo(path.read_bytes(), 10**8), detector, "largest", 40)
        except (FaceReject, DataError):
            continue
        num_seen += 1
        for kind in KINDS[:-1]:
            occluded, drawn = draw_occlusion(image, landmarks, kind, image_rng(1, path.stem, kind), 0.7)
            changed = (occluded != image).any(axis=2)
            assert 0.03 < changed.mean() < 0.6
            hidden, free = (landmarks[:2], landmarks[3:]) if kind == "sunglasses" else (landmarks[3:], landmarks[:2])
            name = "lens" if kind == "sunglasses" else "mask"
            bodies = [part["points"] for part in drawn["parts"] if part["part"] == name]
            assert np.any([inside_polygon(hidden, body) for body in bodies], axis=0).all()
            columns, rows = np.rint(free).astype(int).T
            assert not changed[rows, columns].any()
    assert num_seen >= NUM_PHOTOGRAPHS - 2  # dlib misses few of LFW's faces


class TrueFace(NamedTuple):
    """An aligned photograph with its five landmarks and the 68 annotated ones, px, and the distance of its eyes."""

    image: np.ndarray
    landmarks: np.ndarray
    points: np.ndarray
    eyes_px: float


@pytest.fixture(scope="module")
def true_faces(faces_dir) -> list[TrueFace]:
    """The 43 annotated faces of dlib's photographs, aligned by their true landmarks."""
    folder: Path = faces_dir / "detect" / "dlib_faces"
    found = []
    for part in ("training", "testing"):
        for photograph in ET.parse(folder / f"{part}_with_face_landmarks.xml").iter("image"):
            image = decode_photo((folder / photograph.attrib["file"]).read_bytes(), 10**8)
            for box in photograph.iter("box"):
                marks = {int(mark.attrib["name"]): mark.attrib for mark in box.iter("part")}
                all68 = np.array([[float(marks[i]["x"]), float(marks[i]["y"])] for i in range(68)])
                five = np.stack([all68[36:42].mean(axis=0), all68[42:48].mean(axis=0), *all68[[30, 48, 54]]])
                aligned, landmarks = align_face(image, five)
                points = transform_points(similarity_transform(five, TEMPLATE), all68)
                eyes_px = float(np.hypot(*(landmarks[1] - landmarks[0])))
                found.append(TrueFace(aligned, landmarks, points, eyes_px))
    assert len(found) == 43
    return found


@pytest.mark.faces
def test_anchors_lie_at_true_chins_jaws_and_bridges(true_faces):
    """Distances in units of that of the eyes. Measured: mean 0.14 to 0.25, the farthest (a cheek of a face turned away) 0.65."""
    names = list(TRUE_POINTS)
    errors = np.array(
        [
            np.hypot(
                *(face_points(face_frame(face.landmarks), face.landmarks, names)
                  - [face.points[TRUE_POINTS[name]].mean(axis=0) for name in names]).T
            ) / face.eyes_px
            for face in true_faces
        ]
    )  # fmt: skip
    means, farthest = (dict(zip(names, values, strict=True)) for values in (errors.mean(axis=0), errors.max(axis=0)))
    assert max(means[name] for name in ("chin", "bridge", "left_jaw", "right_jaw")) < 0.2
    assert max(means.values()) < 0.3
    assert max(farthest[name] for name in ("chin", "bridge", "left_jaw", "right_jaw")) < 0.5
    assert max(farthest.values()) < 0.7


@pytest.mark.faces
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith("mask")])
def test_masks_end_at_the_true_chin_and_jaw(true_faces, kind):
    """The lowest point of a mask is at the chin; the edge over cheeks and jaw runs along the jaw, a cup's within it."""
    chins, edges = [], []
    for number, face in enumerate(true_faces):
        _, drawn = draw_occlusion(face.image, face.landmarks, kind, image_rng(1, str(number), kind), 0.7)
        (body,) = [np.array(part["points"]) for part in drawn["parts"] if part["part"] == "mask"]
        frame = face_frame(face.landmarks)
        chins.append((float((body @ frame.down).max()) - float(face.points[8] @ frame.down)) / face.eyes_px)
        edge = body[frame.to_face(body)[:, 1] > 0.5]
        jaw = np.concatenate([np.linspace(face.points[i], face.points[i + 1], 12) for i in range(16)])
        edges.append(float(np.hypot(*(edge[:, None] - jaw).transpose(2, 0, 1)).min(axis=1).mean()) / face.eyes_px)
    # Measured, means: chin -0.13 (N95) to -0.04, edge 0.09 (cloth) to 0.20 (N95); farthest: chin 0.31, edge 0.35.
    assert abs(np.mean(chins)) < 0.15
    assert np.abs(chins).max() < 0.4
    assert np.mean(edges) < (0.25 if kind == "mask_n95" else 0.17)
    assert max(edges) < 0.4
