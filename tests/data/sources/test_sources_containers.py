"""Collections in few files that are damaged, cut or hostile: a named error each, and nothing is written outside."""

import io
import lzma
import pickle
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.photos.photo import PhotoError
from pipeline_lib.data.photos.place import Place, look_at, read_photo
from pipeline_lib.data.photos.recordio import pack
from pipeline_lib.data.sources import parquet, recordio, verification_bin, webdataset

Tar = list[tuple[str, bytes] | tarfile.TarInfo]


def rec(folder: Path, records: list[bytes], index: str | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    offsets = np.cumsum([0, *map(len, records)]).tolist()
    (folder / "a.rec").write_bytes(b"".join(records))
    (folder / "a.idx").write_text(index or "".join(f"{key}\t{offsets[key]}\n" for key in range(len(records))))
    return folder


def test_recordio_flat_and_by_identity(tmp_path: Path) -> None:
    flat = recordio.read(
        rec(tmp_path / "flat", [pack((3.0,), 0, b"one"), pack((5.0, 9.0), 1, b"two"), pack((3.0,), 2, b"3")])
    )
    assert [photo.identity for photo in flat.photos] == ["flat-3", "flat-5", "flat-3"]
    assert [read_photo(photo.place, 10) for photo in flat.photos] == [b"one", b"two", b"3"]
    people = [
        pack((3.0, 5.0), 0, b""),
        pack((0.0,), 1, b"a"),
        pack((0.0,), 2, b"b"),
        pack((1.0, 3.0), 3, b""),
        pack((3.0, 3.0), 4, b""),
    ]
    found = recordio.read(rec(tmp_path / "people", people))
    assert [(photo.identity, photo.image_id) for photo in found.photos] == [
        ("people-0", "people-00000001"),
        ("people-0", "people-00000002"),
    ]


@pytest.mark.parametrize(
    ("records", "index", "what"),
    [
        ([pack((1.0,), 0, b"x")], "0\t4\n", "no record begins"),
        ([pack((1.0,), 0, b"x")], "0\t400\n", "ends within"),
        ([pack((1.0,), 0, b"x")], "0\t-4\n", "damaged"),
        ([pack((1.0,), 0, b"x")], "0 zero\n", "line 1"),
        ([pack((1.0,), 0, b"x")], "0\t0\n0\t0\n", "line 2"),
        ([pack((1.0, 9.0), 0, b"")], None, "announces the records 1 to 9"),
        ([pack((1.0, 1e12), 0, b"")], None, "announces"),
        ([pack((1.0, 2.0), 0, b""), pack((0.0,), 1, b"x")], None, "no identity's record"),
        ([pack((1.0, 2.0), 0, b""), pack((0.0, 5.0), 1, b"")], None, "announces"),
        ([pack((1.0, 1.0), 0, b"")], None, "no images"),
        ([struct.pack("<II", 0xCED7230A, 4) + b"abcd"], None, "shorter than its header"),
    ],
)
def test_recordio_damage(tmp_path: Path, records: list[bytes], index: str | None, what: str) -> None:
    with pytest.raises(DataError, match=what):
        recordio.read(rec(tmp_path / "set", records, index))


def test_recordio_files_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"one \.rec file"):
        recordio.read(tmp_path)
    rec(tmp_path, [pack((1.0,), 0, b"x")])
    (tmp_path / "a.idx").unlink()
    with pytest.raises(DataError, match="no index"):
        recordio.read(tmp_path)
    (tmp_path / "a.idx").write_text("0\t0\n")
    (tmp_path / "a.rec").write_bytes(b"")
    with pytest.raises(DataError, match="empty"):
        recordio.read(tmp_path)


def test_a_range_beyond_the_file_or_too_long(tmp_path: Path) -> None:
    path = tmp_path / "pack"
    path.write_bytes(b"x" * 100)
    for place, reason in (
        (Place(path, 90, 11), "truncated"),
        (Place(path, 0, 81), "too_large"),
        (Place(tmp_path / "gone", 0, 1), "unreadable"),
        (Place(path, 0, 0), "empty"),
        (Place(path, 0, 20), "not_an_image"),
    ):
        with pytest.raises(PhotoError) as caught:
            look_at(place, 10)
        assert caught.value.reason == reason


def verification(value: object) -> bytes:
    return pickle.dumps(value)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (verification([b"a"]), "no pair of lists"),
        (verification(([b"a"], [True])), "1 pictures, 1 answers"),
        (verification(([], [])), "0 pictures"),
        (verification(([b"a", b"b"], [2])), "neither true nor false"),
        (verification(([b"a", "b"], [True])), "something else than pictures"),
        (verification(([b"a", np.zeros((2, 2), np.uint8)], [True])), "something else than pictures"),
        (verification(([b"a", b"b"], True)), "no pair of lists"),
        (b"", "damaged"),
        (pickle.dumps((io.BytesIO, [])), "BytesIO"),
    ],
)
def test_verification_sets_that_are_none(tmp_path: Path, content: bytes, what: str) -> None:
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(DataError, match=what):
        verification_bin.unpack(tmp_path / "a.bin", tmp_path / "out", write=True)
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_verification_sets_that_are_damaged_xz(tmp_path: Path) -> None:
    whole = lzma.compress(verification(([b"a", b"b"], [True])))
    for content in (whole[:-9], b"no xz", whole[:20] + b"\0\0\0" + whole[23:]):
        (tmp_path / "a.bin.xz").write_bytes(content)
        with pytest.raises(DataError, match="cannot be read"):
            verification_bin.unpack(tmp_path, tmp_path / "out", write=True)
    with pytest.raises(DataError, match="no verification set"):
        verification_bin.unpack(tmp_path / "elsewhere", tmp_path / "out", write=True)


def test_a_set_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification_bin, "MAX_BYTES", 1000)
    (tmp_path / "a.bin.xz").write_bytes(lzma.compress(bytes(10**6)))
    with pytest.raises(DataError, match="too much"):
        verification_bin.unpack(tmp_path, tmp_path / "out", write=True)


def test_equal_pictures_are_one_photograph_and_genuine_pairs_join_people(tmp_path: Path) -> None:
    """a=b, b=c, so a, b, c are one person, whatever the impostor pair (a, c) says; a pair of a picture with itself is none."""
    pictures = [b"a", b"b", b"b", b"c", b"a", b"c", b"d", b"e", b"a", b"a"]
    (tmp_path / "s.bin").write_bytes(verification((pictures, [True, True, False, False, True])))
    faces = verification_bin.unpack(tmp_path / "s.bin", tmp_path / "out", write=True)
    who = {read_photo(photo.place, 10): photo.identity for photo in faces.photos}
    assert set(who) == {b"a", b"b", b"c", b"d", b"e"}
    assert len(set(who.values())) == 3
    assert who[b"a"] == who[b"b"] == who[b"c"]
    assert [pair.genuine for pair in faces.pairs] == [True, True, False, False]


def tar(path: Path, members: Tar) -> None:
    with tarfile.open(path, "w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))


def link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


def test_tars_names_become_no_paths(tmp_path: Path) -> None:
    (tmp_path / "tars").mkdir()
    members: Tar = [
        ("../../evil.jpg", b"x"),
        ("../../evil.cls", b"ann"),
        link("l.jpg", "/etc/passwd"),
        ("/abs.PNG", b"y"),
        ("/abs.cls", b"7"),
    ]
    tar(tmp_path / "tars/a.tar", members)
    faces = webdataset.read(tmp_path / "tars")
    assert [(photo.identity, read_photo(photo.place, 10)) for photo in faces.photos] == [
        ("ann", b"x"),
        ("tars-7", b"y"),
    ]
    assert all(photo.path == str(tmp_path / "tars/a.tar") for photo in faces.photos)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tar", "tars"]


@pytest.mark.parametrize(
    ("members", "what"),
    [
        (
            [("a.jpg", b"x"), ("a.cls", b"1"), ("b.jpg", b"x"), ("b.cls", b"1"), ("a.jpg", b"x"), ("a.cls", b"1")],
            "comes twice",
        ),
        ([("a.jpg", b"x"), ("a.jpg", b"y")], "a member twice"),
        ([("a.jpg", b"x"), ("a.png", b"y"), ("a.cls", b"1")], "not one picture"),
        ([("a.cls", b"1")], "not one picture"),
        ([("a.jpg", b"x")], "says no identity"),
        ([("a.jpg", b"x"), ("a.json", b"[1]")], "says no identity"),
        ([("a.jpg", b"x"), ("a.json", b"[" * 100_000)], "says no identity"),
        ([("a.jpg", b"x"), ("a.cls", b"\xff")], "says no identity"),
        ([], "no samples"),
    ],
)
def test_tars_that_hold_no_samples(tmp_path: Path, members: Tar, what: str) -> None:
    tar(tmp_path / "a.tar", members)
    with pytest.raises(DataError, match=what):
        webdataset.read(tmp_path / "a.tar")


def test_boxes_that_a_source_states(tmp_path: Path) -> None:
    members: Tar = [
        ("a.jpg", b"x"),
        ("a.json", b'{"identity": "ann", "box": [1, 2.5, 30, 40]}'),
        ("b.jpg", b"y"),
        ("b.cls", b"bob"),
        ("b.json", b'{"box": [-3, 0, 9, 9]}'),
        ("c.jpg", b"z"),
        ("c.json", b'{"identity": "ann", "box": null}'),
    ]
    tar(tmp_path / "a.tar", members)
    boxes = [(1, 2.5, 30, 40), (-3, 0, 9, 9), None]
    assert [photo.box and tuple(photo.box) for photo in webdataset.read(tmp_path / "a.tar").photos] == boxes
    rows = {"image": [b"x", b"y", b"z"], "label": [1, 2, 3], "box": [box and list(map(float, box)) for box in boxes]}
    pq.write_table(pa.table(rows), tmp_path / "a.parquet")
    for write in (True, False):
        photos = parquet.unpack(tmp_path / "a.parquet", tmp_path / "out", write=write).photos
        assert [photo.box and tuple(photo.box) for photo in photos] == boxes


@pytest.mark.parametrize(
    "box", ["[1, 2, 3]", "[5, 0, 5, 9]", "[0, 0, 1, NaN]", '"0 0 9 9"', "7", '{"x0": 1}', "[0, 0, [1], 9]"]
)
def test_a_box_that_is_none_is_refused(tmp_path: Path, box: str) -> None:
    tar(tmp_path / "a.tar", [("a.jpg", b"x"), ("a.json", f'{{"identity": "ann", "box": {box}}}'.encode())])
    with pytest.raises(DataError, match=r"A box is none\.(.|\n)*a\.tar, a"):
        webdataset.read(tmp_path / "a.tar")


def compressed(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a.jpg"))


@pytest.mark.parametrize("write", [compressed, lambda path: path.write_bytes(b"no tar" * 200)])
def test_tars_that_are_none(tmp_path: Path, write: Callable[[Path], object]) -> None:
    write(tmp_path / "a.tar")
    with pytest.raises(DataError, match="damaged, or compressed"):
        webdataset.read(tmp_path)


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ({"picture": [b"x"], "label": [1]}, "lacks a column"),
        ({"image": [b"x"]}, "lacks a column"),
        ({"image": ["http://somewhere/x.jpg"], "label": [1]}, "holds no picture"),
        ({"image": [{"path": "x.jpg"}], "label": [1]}, "holds no picture"),
        ({"image": [None], "label": [1]}, "holds no picture"),
        ({"image": [b"x"], "label": [None]}, "says no identity"),
        ({"image": [b"x"], "label": [1], "box": [[9.0, 0.0, 1.0, 9.0]]}, "A box is none"),
        ({"image": [b"x"], "label": [1], "box": ["a"]}, "A box is none"),
        ({"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())}, "no photographs"),
    ],
)
def test_parquet_tables_without_photographs(tmp_path: Path, table: dict[str, object], what: str) -> None:
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=what):
        parquet.unpack(tmp_path, tmp_path / "out", write=True)


def test_parquet_damage(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no Parquet table"):
        parquet.unpack(tmp_path, tmp_path / "out", write=True)
    pq.write_table(pa.table({"image": [b"x" * 5000], "label": [1]}), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    for content in (
        whole[:-20],
        b"PAR1" + b"\xff" * 100 + b"PAR1",
        whole.replace(b"xx", b"zz", 1)[:60] + whole[60:-200],
    ):
        (tmp_path / "a.parquet").write_bytes(content)
        with pytest.raises(DataError, match="damaged"):
            parquet.unpack(tmp_path, tmp_path / "out", write=True)
