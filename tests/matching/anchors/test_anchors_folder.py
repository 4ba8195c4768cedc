"""A user's folder as anchors: whose a photograph is, what is done without a face, what is refused."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from some_anchors import entry, find

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.faces.align_batch import AlignedFace
from pipeline_lib.data.faces.detection.face import Face
from pipeline_lib.data.faces.rejects import reject_row
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.data.synthetic.identity import sample_identity
from pipeline_lib.data.synthetic.render import render_photo
from pipeline_lib.matching.anchors import folder
from pipeline_lib.matching.anchors.folder import people_of

FACE = Face(np.zeros(4, np.float32), 1.0, np.zeros((5, 2), np.float32))


def map_here(function, batches, num_workers, crashed):
    return map(function, batches)


@pytest.fixture
def detected(monkeypatch) -> list[str]:
    """Photographs hold one number, the grey of their face, or none, and then no face is found; names what was looked at."""
    looked = list[str]()

    def outcome(row, root):
        looked.append(row["uri"])
        text = (root / row["uri"]).read_text()
        if not text:
            return reject_row(row["image_id"], row["uri"], "align", "no_face", "nobody there")
        image = np.full((112, 112, 3), int(text), np.uint8)
        return AlignedFace(row["image_id"], row["identity"], row["split"], image, np.zeros((5, 2), np.float32), FACE)

    def align(rows, align, weights, root, max_pixels):
        return [outcome(row, root) for row in rows]

    monkeypatch.setattr(folder, "align_batch", align)
    monkeypatch.setattr(folder, "map_batches", map_here)
    return looked


def fill(root: Path, **greys: str) -> Path:
    for path, grey in greys.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(grey)
    return root


def test_people_are_folders_at_any_depth_or_files_at_the_root(tmp_path):
    files = [
        "al.jpg",
        "bo/1.png",
        "bo/2.png",
        "deep/er/cy/1.jpg",
        "deep/er/cy/2",
        "deep/er/.hidden/1.jpg",
        "bo/notes.txt",
    ]
    fill(tmp_path, **dict.fromkeys(files, "1"))
    people = {"al": ["al.jpg"], "bo": ["bo/1.png", "bo/2.png"], "cy": ["deep/er/cy/1.jpg", "deep/er/cy/2"]}
    assert people_of(tmp_path, Counter()) == people


def test_one_photograph_a_person_and_another_where_there_is_no_face(tmp_path, detected):
    files = {"al/1.jpg": "10", "al/2.jpg": "10", "bo/1.jpg": "20", "bo/2.jpg": "", "bo/3.jpg": "", "cy/1.jpg": ""}
    fill(tmp_path, **files, **{f"p{i}/1.jpg": f"{30 + i}" for i in range(4)})
    used = set()
    for seed in range(8):
        detected.clear()
        found = find(entry("folder", str(tmp_path), seed=seed), Path())
        assert found.identities == ["al", "bo", "p0", "p1", "p2", "p3"]
        np.testing.assert_allclose(found.vectors[:, 0], [11, 21, 31, 32, 33, 34])  # several batches of 3
        assert found.image_ids[1] == "bo/1.jpg"
        used.add(found.image_ids[0])
        num = found.figures["num_rejected"]
        assert found.figures == {
            "num_photographs": 10,
            "num_people_without_face": 1,
            "num_rejected": num,
            "num_rejected_no_face": num,
        }
        assert 1 <= num <= 3
        assert len(detected) == len(set(detected)) == 6 + num
    assert used == {"al/1.jpg", "al/2.jpg"}


def test_the_cap_keeps_some_of_the_people(tmp_path, detected):
    fill(tmp_path, **{f"p{i}.jpg": f"{i}" for i in range(9)})
    kept = [find(entry("folder", str(tmp_path), max_anchors=3, seed=seed), Path()).identities for seed in range(20)]
    assert {len(names) for names in kept} == {3}
    assert {name for names in kept for name in names} == {f"p{i}" for i in range(9)}


def test_what_can_be_no_anchors_is_named(tmp_path, detected):
    with pytest.raises(DataError, match=r"folder is missing[\s\S]*absent"):
        find(entry("folder", str(tmp_path / "absent")), Path())
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is no folder"):
        find(entry("folder", str(tmp_path / "file")), Path())
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"No photograph[\s\S]*got: 0 photographs\n"):
        find(entry("folder", str(tmp_path / "empty")), Path())
    fill(tmp_path / "faceless", **{"al.jpg": "", "bo.jpg": ""})
    with pytest.raises(DataError, match=r"No photograph[\s\S]*2 photographs; no_face 2"):
        find(entry("folder", str(tmp_path / "faceless")), Path())


def test_a_name_that_is_no_utf8_is_counted(tmp_path, detected):
    fill(tmp_path, **{"al.jpg": "1", "bo.jpg": "2"})
    os.rename(os.fsencode(tmp_path / "bo.jpg"), os.fsencode(tmp_path) + b"/b\xff.jpg")
    found = find(entry("folder", str(tmp_path)), Path())
    assert found.identities == ["al"]
    assert (found.figures["num_photographs"], found.figures["num_rejected_bad_name"]) == (1, 1)


def test_photographs_are_detected_and_aligned(tmp_path, monkeypatch):
    """By the real detector, in this process."""
    monkeypatch.setattr(folder, "map_batches", map_here)
    rng = np.random.default_rng(5)
    (tmp_path / "al").mkdir()
    (tmp_path / "al/1.png").write_bytes(encode_png(render_photo([sample_identity(rng)], rng, 200)[0]))
    (tmp_path / "bo.png").write_bytes(encode_png(np.zeros((200, 200, 3), np.uint8)))
    (tmp_path / "README").write_text("no photograph, but it may be one by its name")
    found = find(entry("folder", str(tmp_path)), Path())
    assert (found.identities, found.image_ids) == (["al"], ["al/1.png"])
    assert found.vectors.shape == (1, 3)
    assert (found.figures["num_rejected"], found.figures["num_rejected_no_face"]) == (2, 1)
