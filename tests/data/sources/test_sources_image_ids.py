"""Image ids: distinct where files are called alike, and as they were everywhere else."""

import hashlib
import os
from pathlib import Path

import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources import image_folder
from pipeline_lib.data.sources.shared.image_ids import check_image_ids, distinct_image_ids
from pipeline_lib.data.sources.shared.records import PairRecord, PhotoRecord, SourceFaces, as_photos


def fill(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def ids(sources: list[SourceFaces], root: Path) -> dict[str, str]:
    """Place below `root` -> image id."""
    found = distinct_image_ids(sources, root)
    check_image_ids(found)
    return {os.path.relpath(photo.path, root): photo.image_id for faces in found for photo in faces.photos}


def hashed(image_id: str, place: str) -> str:
    return f"{image_id}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def test_files_of_one_stem(tmp_path: Path) -> None:
    names = ["ann/a.jpg", "ann/a.png", "ann/b (1).jpg", "ann/b [1].jpg", "ann/c.jpg", "bob/a.jpg"]
    found = ids([image_folder.read(fill(tmp_path / "faces", *names))], tmp_path)
    assert found == {
        "faces/ann/a.jpg": hashed("faces-ann-a", "faces/ann/a.jpg"),
        "faces/ann/a.png": hashed("faces-ann-a", "faces/ann/a.png"),
        "faces/ann/b (1).jpg": hashed("faces-ann-b--1-", "faces/ann/b (1).jpg"),
        "faces/ann/b [1].jpg": hashed("faces-ann-b--1-", "faces/ann/b [1].jpg"),
        "faces/ann/c.jpg": "faces-ann-c",
        "faces/bob/a.jpg": "faces-bob-a",
    }


def test_folders_of_one_name_in_two_sources(tmp_path: Path) -> None:
    roots = [fill(tmp_path / year / "family", "ann/1.jpg", f"bob/{year}.jpg") for year in ("2023", "2024")]
    found = ids([image_folder.read(root) for root in roots], tmp_path)
    assert found["2023/family/ann/1.jpg"] == hashed("family-ann-1", "2023/family/ann/1.jpg")
    assert found["2024/family/ann/1.jpg"] == hashed("family-ann-1", "2024/family/ann/1.jpg")
    assert found["2023/family/bob/2023.jpg"] == "family-bob-2023"


def test_the_place_of_the_root_does_not_count(tmp_path: Path) -> None:
    for root in ("here", "there/deeper"):
        fill(tmp_path / root, "faces/ann/a.jpg", "faces/ann/a.png")
    here, there = (ids([image_folder.read(tmp_path / at / "faces")], tmp_path / at) for at in ("here", "there/deeper"))
    assert here == there


def test_media_of_groups_and_photographs_of_one_name(tmp_path: Path) -> None:
    names = [
        "ann/v (1)/1.jpg",
        "ann/v (1)/2.jpg",
        "ann/v [1]/3.jpg",
        "ann/w/1.jpg",
        "ann/w.jpg",
        "ann/x.jpg",
        "ann/x.png",
    ]
    (faces,) = distinct_image_ids([image_folder.read(fill(tmp_path / "faces", *names))], tmp_path)
    media = {os.path.relpath(photo.path, tmp_path / "faces/ann"): photo.media for photo in faces.photos}
    assert media["v (1)/1.jpg"] == media["v (1)/2.jpg"]
    assert len(set(media.values())) == len(names) - 1


def test_a_source_with_pairs_keeps_the_ids_that_they_name(tmp_path: Path) -> None:
    (mine,) = [image_folder.read(fill(tmp_path / "lfw", "Ann/0001.jpg"))]
    twin = PhotoRecord("lfw-Ann-0001", "ann", str(tmp_path / "other/Ann-0001.jpg"), None, "lfw-Ann-0001")
    official = SourceFaces(as_photos([twin]), [PairRecord("lfw", 0, "lfw-Ann-0001", "lfw-Ann-0001", True)])
    found = ids([official, mine], tmp_path)
    assert found["other/Ann-0001.jpg"] == "lfw-Ann-0001"
    assert found["lfw/Ann/0001.jpg"] == hashed("lfw-Ann-0001", "lfw/Ann/0001.jpg")


def test_every_clash_that_remains_is_named(tmp_path: Path) -> None:
    photos = [PhotoRecord(f"x-{n // 2}", "x", str(tmp_path / f"{n}.jpg"), None, "x") for n in range(60)]
    with pytest.raises(DataError, match=r"(?s)30 image ids.*0\.jpg and .*1\.jpg \(x-0\).*x-19\).*and 10 more"):
        check_image_ids([SourceFaces(as_photos(photos))])
