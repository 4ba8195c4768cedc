"""An image folder's layouts, ids and mistakes."""

import os
from collections import Counter
from pathlib import Path

import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.photos.photo import PhotoError
from pipeline_lib.data.photos.place import look_at
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
        "faces-Ann-Lee-2", "ann_lee", str(root / "Ann Lee/2.PNG"), None, "faces-Ann-Lee-2"
    )
    assert image_folder.read(root).all_names == {"ann_lee", "bob"}
    assert image_folder.read(root).pairs == []


def test_groups_become_media(tmp_path: Path) -> None:
    root = fill(tmp_path / "faces", "ann/video 1/1.jpg", "ann/video 1/2.jpg", "ann/3.jpg")
    assert {photo.media for photo in ids(root).values()} == {"faces-ann-video-1", "faces-ann-3"}
    assert len(ids(root)) == 3


def test_what_lies_beside_photographs_is_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    of_systems = ["ann/.DS_Store", "ann/._1.jpg", ".cache/1.jpg", "__MACOSX/ann/1.jpg", "ann/@eaDir/1.jpg/thumb.jpg"]
    sidecars = ["1.xmp", "1.jpg.json", "1.AAE", "Thumbs.db", "desktop.ini", "1.jpg:Zone.Identifier", "1.jpg~", "1.MOV"]
    root = fill(tmp_path / "faces", "ann/1.jpg", "ann/2", *of_systems, *(f"ann/{name}" for name in sidecars))
    assert set(ids(root)) == {"faces-ann-1", "faces-ann-2"}
    for kind in (".xmp 1", ".json 1", ".db 1", ".ini 1", ".identifier 1", ".mov 1"):
        assert kind in caplog.text
    fill(root, "ann/3.heic")  # a photograph that cannot be read is no sidecar: it becomes a reject
    assert "faces-ann-3" in ids(root)


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Train", "Val", "Test"), ("training", "valid", "testing")]
)
def test_split_folders(tmp_path: Path, names: tuple[str, str, str]) -> None:
    train, val, test = names
    root = fill(tmp_path / "faces", f"{train}/ann/1.jpg", f"{test}/bob/1.jpg", f"{val}/cem/1.jpg", "__MACOSX/x/1.jpg")
    photos = ids(root)
    assert {photo.identity: photo.split for photo in photos.values()} == {"ann": "train", "bob": "test", "cem": "val"}
    assert set(photos) == {f"faces-{train}-ann-1", f"faces-{test}-bob-1", f"faces-{val}-cem-1"}
    fill(root, "dora/1.jpg")
    with pytest.raises(DataError, match=r"(?s)called as splits are, others are not.*dora beside"):
        ids(root)


def test_one_folder_called_like_a_split_is_a_person(tmp_path: Path) -> None:
    root = fill(tmp_path / "faces", "Val/1.jpg", "Ann/1.jpg")
    assert {photo.identity: photo.split for photo in ids(root).values()} == {"val": None, "ann": None}


def test_two_folders_of_one_split(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)Two folders are one split.*val, valid"):
        ids(fill(tmp_path / "faces", "val/ann/1.jpg", "valid/bob/1.jpg"))


def test_names_without_latin_letters_keep_apart(tmp_path: Path) -> None:
    photos = ids(fill(tmp_path / "faces", "王芳/1.jpg", "李娜/1.jpg", "Jörg/1.jpg"))
    assert {photo.identity for photo in photos.values()} == {"王芳", "李娜", "jörg"}
    assert len(photos) == 3
    assert all(image_id.isascii() for image_id in photos)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["stray.jpg", "ann/1.jpg"], r"(?s)outside an identity folder.*stray\.jpg"),
        (["ann/a/b/1.jpg"], r"(?s)nested too deep.*ann/a/b"),
        (["Ann Lee/1.jpg", "ann_lee/1.jpg"], r"(?s)Two folders are one identity.*Ann Lee and ann_lee"),
        (["A b/1.jpg", "A-b/1.jpg", "C d/1.jpg", "C-d/1.jpg"], r"A b and A-b \(a_b\); C d and C-d \(c_d\)"),
        (["---/1.jpg"], "no letter or digit"),
        (["README.md"], "no identity folder"),
        (["ann/.hidden"], "no photographs"),
        (["ann/1.cr2", "ann/2.cr2"], r"(?s)no photographs.*\.cr2 2"),
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


def test_bad_entries_end_in_rejects_not_in_tracebacks(tmp_path: Path) -> None:
    root = fill(tmp_path / "faces", "ann/1.jpg")
    (root / "ann/self").symlink_to(".")
    (root / "ann/up").symlink_to("..")
    (root / "ann/circle.jpg").symlink_to("circle.jpg")
    (root / "ann/nowhere.jpg").symlink_to("gone.jpg")
    Path(os.fsdecode(os.fsencode(root) + b"/ann/caf\xe9.jpg")).write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(root) + b"/b\xe9")).mkdir()
    Path(os.fsdecode(os.fsencode(root) + b"/b\xe9/1.jpg")).write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(root) + b"/b\xe8")).mkdir()
    Path(os.fsdecode(os.fsencode(root) + b"/b\xe8/1.jpg")).write_bytes(b"x")
    photos = image_folder.read(root).photos
    assert Counter(photo.identity for photo in photos) == {"ann": 4, "b_udce9": 1, "b_udce8": 1}
    assert len({photo.image_id for photo in photos}) == 6
    for photo in photos:
        path = Path(photo.path)
        if path.name != "1.jpg" or photo.identity != "ann":
            with pytest.raises(PhotoError, match=r"unreadable|bad_name"):
                look_at(photo.place, 1000)
