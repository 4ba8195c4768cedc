"""Occlusions on photographs: found, aligned, drawn."""

import numpy as np
import pytest
from oracles.shards_loops import inside_polygon

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.faces.align_photo import align_photo
from pipeline_lib.data.faces.detection.build import make_detector
from pipeline_lib.data.faces.rejects import FaceReject
from pipeline_lib.data.occlusion.draw import KINDS, draw_occlusion, image_rng
from pipeline_lib.data.photos.photo import decode_photo

NUM_PHOTOGRAPHS = 12


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
        for kind in KINDS[:4]:
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
