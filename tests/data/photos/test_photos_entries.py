"""Directory entries: which are photographs, and which end a run."""

import os
import socket
from collections import Counter
from pathlib import Path

import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.photos.bad_entries import check_entries
from pipeline_lib.data.photos.folder import entries, is_photo_name, visible


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        *((name, True) for name in ("a.jpg", "A.JPEG", "a.jfif", "a.pnm", "a.heic", "a", "0001.0002", "Dr. Smith", "a (1).png")),
        *((name, False) for name in ("a.xmp", "a.jpg.xmp", "a.AAE", "a.jpg.json", "Thumbs.db", "desktop.ini", "a.MOV")),
        *((name, False) for name in ("a.jpg:Zone.Identifier", "a.jpg~", "a.jpg.crdownload", "notes.txt", "a.cr2")),
    ],
)  # fmt: skip
def test_names_of_photographs(name: str, counts: bool) -> None:
    assert is_photo_name(name) == counts


def test_entries_and_what_is_left_out(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.png", "x.xmp", "y.XMP", "Thumbs.db", ".hidden", "._b.jpg", "Icon\r"):
        (tmp_path / name).touch()
    for name in ("group", "@eaDir", "__MACOSX", ".Trash", "$RECYCLE.BIN", "lost+found"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("group")
    (tmp_path / "up").symlink_to("..")
    left_out: Counter[str] = Counter()
    folders, photographs = entries(tmp_path, left_out)
    assert [path.name for path in folders] == ["group", "link"]
    assert [path.name for path in photographs] == ["a.png", "b.jpg"]
    assert left_out == {".xmp": 2, ".db": 1, "link to its own parent": 1}


def test_visible(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "a/._1.jpg", "@eaDir/1.jpg", ".x/1.jpg", "b/1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert visible(tmp_path, "*/*.jpg") == [tmp_path / "a/1.jpg", tmp_path / "b/1.jpg"]


def test_bad_entries_are_all_named_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann/1.jpg").touch()
    (tmp_path / "also").symlink_to("ann")
    (tmp_path / "ann/up").symlink_to("..")  # not followed
    check_entries(tmp_path)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/ann/caf\xe9.jpg")).touch()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xe9")).mkdir()
    (tmp_path / "ann/gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "ann/circle.jpg").symlink_to("circle.jpg")
    os.mkfifo(tmp_path / "ann/pipe.jpg")
    with pytest.raises(DataError, match="5 of them") as caught:
        check_entries(tmp_path)
    text = str(caught.value)
    text.encode()  # can be printed and logged
    for line in (
        rf"{tmp_path}/ann/caf\udce9.jpg (its name is no UTF-8)",
        rf"{tmp_path}/b\udce9 (its name is no UTF-8)",
        f"{tmp_path}/ann/gone.jpg (a link that leads nowhere)",
        f"{tmp_path}/ann/circle.jpg (a link: Too many levels of symbolic links)",
        f"{tmp_path}/ann/pipe.jpg (no regular file)",
    ):
        assert line in text


def test_many_bad_entries_are_counted(tmp_path: Path) -> None:
    for number in range(25):
        (tmp_path / f"{number:02d}.jpg").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"(?s)25 of them.*00\.jpg.*19\.jpg.*and 5 more"):
        check_entries(tmp_path)


def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    if os.geteuid() == 0:  # root reads everything
        check_entries(tmp_path)
    else:
        with pytest.raises(DataError, match="Permission"):
            check_entries(tmp_path)


def test_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(DataError, match="no regular file"):
            check_entries(tmp_path)
