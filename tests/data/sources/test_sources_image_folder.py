"""An image folder's layouts, ids and mistakes."""

import os
from pathlib import Path

import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources import image_folder
from pipeline_lib.data.sources.shared.records import PhotoRecord


def fill(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def ids(root: Path) -> dict[str, PhotoRecord]:
    return {photo.image_id: photo for photo in image_folder.read(root).photos}


def test_one_folder_an_identity(tmp_path: Path) -> None:
    root = fill(tmp_path / "faces", "Ann Lee/1.jpg", "Ann Lee/2.PNG", "bob/only.webp", "README.md")
    photos = ids(root)
    assert set(photos) == {"faces-Ann-Lee-1", "faces-Ann-Lee-2", "faces-bob-only"}
    assert photos["faces-Ann-Lee-2"] == PhotoRecord(
        "faces-Ann-Lee-2", "ann_lee", root / "Ann Lee/2.PNG", None, "faces-Ann-Lee-2"
    )
    assert image_folder.read(root).all_names == {"ann_lee", "bob"}
    assert image_folder.read(root).pairs == []


def test_groups_become_media(tmp_path: Path) -> None:
    root = fill(tmp_path / "faces", "ann/video 1/1.jpg", "ann/video 1/2.jpg", "ann/3.jpg")
    assert {photo.media for photo in ids(root).values()} == {"faces-ann-video-1", "faces-ann-3"}
    assert len(ids(root)) == 3


def test_every_file_of_an_identity_is_an_input_but_hidden_ones(tmp_path: Path) -> None:
    root = fill(tmp_path / "faces", "ann/1.jpg", "ann/notes.txt", "ann/.DS_Store", ".cache/1.jpg")
    assert set(ids(root)) == {"faces-ann-1", "faces-ann-notes"}


def test_split_folders(tmp_path: Path) -> None:
    root = fill(tmp_path / "faces", "train/ann/1.jpg", "test/bob/1.jpg", "val/cem/1.jpg")
    assert {photo.identity: photo.split for photo in ids(root).values()} == {
        "ann": "train",
        "bob": "test",
        "cem": "val",
    }
    fill(root, "dora/1.jpg")  # not all folders on top are splits any more: then none is, and these are groups
    assert {photo.identity for photo in ids(root).values()} == {"train", "test", "val", "dora"}


def test_names_without_latin_letters_keep_apart(tmp_path: Path) -> None:
    photos = ids(fill(tmp_path / "faces", "王芳/1.jpg", "李娜/1.jpg", "Jörg/1.jpg"))
    assert {photo.identity for photo in photos.values()} == {"王芳", "李娜", "jorg"}
    assert len(photos) == 3
    assert all(image_id.isascii() for image_id in photos)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["stray.jpg", "ann/1.jpg"], r"(?s)outside an identity folder.*stray\.jpg"),
        (["ann/a/b/1.jpg"], r"(?s)nested too deep.*ann/a/b"),
        (["Ann Lee/1.jpg", "ann_lee/1.jpg"], r"(?s)Two folders are one identity.*Ann Lee and ann_lee"),
        (["---/1.jpg"], "no letter or digit"),
        (["README.md"], "no identity folder"),
        (["ann/.hidden"], "no photographs"),
    ],
)
def test_mistakes(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        image_folder.read(fill(tmp_path / "faces", *names))


def test_missing_and_unreadable_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)cannot be read.*No such file"):
        image_folder.read(tmp_path / "nowhere")
    if os.geteuid() != 0:  # root reads everything
        (tmp_path / "closed").mkdir(mode=0)
        with pytest.raises(DataError, match=r"(?s)cannot be read.*Permission"):
            image_folder.read(tmp_path / "closed")
