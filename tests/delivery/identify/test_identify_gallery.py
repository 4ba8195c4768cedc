"""What in a folder is a gallery's photograph, and what becomes of the rest."""

import os
from pathlib import Path

import pytest
from rendered import Detected, search

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.identify.gallery import list_gallery
from pipeline_lib.delivery.identify.model import Opened


def test_folders_groups_and_loose_photographs_are_people(tmp_path: Path) -> None:
    for path in ("Ann/1.jpg", "Ann/video/2.jpg", "Cyd.png", "Bob/no suffix", "Ann/a.xmp", ".DS_Store", "Bob/Thumbs.db"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    found = list_gallery(tmp_path)
    assert [(photo.key, photo.name) for photo in found.photographs] == [
        ("Ann/1.jpg", "Ann"), ("Ann/video/2.jpg", "Ann"), ("Bob/no suffix", "Bob"), ("Cyd.png", "Cyd"),
    ]  # fmt: skip
    assert (found.unusable, dict(found.left_out)) == ([], {".xmp": 1, ".db": 1})


def test_what_cannot_be_opened_is_told_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "Ann" / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "Ann" / "1.jpg").touch()
    (tmp_path / "Ann" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "Ann" / "self").symlink_to(tmp_path)
    (tmp_path / "Ann" / "loop").symlink_to(tmp_path / "Ann" / "loop")
    (tmp_path / os.fsdecode(b"b\xff.jpg")).touch()
    found = list_gallery(tmp_path)
    assert [photo.key for photo in found.photographs] == ["Ann/1.jpg"]
    assert [(one.key, one.reason) for one in found.unusable] == [
        ("b\\udcff.jpg", "bad_name"), ("Ann/deep/deeper", "unreadable"),
        ("Ann/gone.jpg", "unreadable"), ("Ann/loop", "unreadable"),
    ]  # fmt: skip
    assert found.left_out["link to its own parent"] == 1


def test_unusable_photographs_are_counted(
    gallery: Path, model: Opened, detected: Detected, pictures: list[list[bytes]]
) -> None:
    first = pictures[0][0]
    for name, data in (("half.png", first[: len(first) // 2]), ("empty.jpg", b""), ("text.jpg", b"no picture")):
        (gallery / "Ann" / name).write_bytes(data)
    os.mkfifo(gallery / "Bob" / "pipe.jpg")
    found = search(model, gallery.parent / "ann.png", gallery)
    assert {(one.key, one.reason) for one in found.unusable} == {
        ("Ann/half.png", "truncated"), ("Ann/empty.jpg", "empty"), ("Ann/text.jpg", "not_an_image"),
        ("Bob/pipe.jpg", "unreadable"),
    }  # fmt: skip
    assert (found.num_photographs, found.num_people) == (3, 3)
    again = search(model, gallery.parent / "ann.png", gallery)
    assert again == found
    assert detected.num == 7  # the unusable ones are remembered, too


@pytest.mark.parametrize("made", [(), ("Ann/text.jpg",), ("Ann/a.xmp",), ("Ann/",)])
def test_a_gallery_without_a_usable_photograph(
    made: tuple[str, ...], tmp_path: Path, gallery: Path, model: Opened, detected: Detected
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for name in made:
        (empty / name).parent.mkdir(exist_ok=True)
        (empty / name).write_text("no picture") if not name.endswith("/") else (empty / name).mkdir()
    with pytest.raises(DataError, match="no photograph that can be used"):
        search(model, tmp_path / "ann.png", empty)


def test_no_gallery(tmp_path: Path, gallery: Path, model: Opened) -> None:
    with pytest.raises(DataError, match="There is no such gallery"):
        search(model, tmp_path / "ann.png", tmp_path / "none")
    with pytest.raises(DataError, match="The gallery is no folder"):
        search(model, tmp_path / "ann.png", tmp_path / "ann.png")
