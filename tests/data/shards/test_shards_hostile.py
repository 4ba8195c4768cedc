"""Tars from elsewhere: refused before a byte of them is trusted."""

import io
import tarfile
from pathlib import Path

import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.shards.index import scan_shard
from pipeline_lib.data.shards.reader import stream_shards


def make_tar(path: Path, entries, mode="w") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, kind, data in entries:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(data), "/etc/passwd"
            tar.addfile(info, io.BytesIO(data))
    return path


GOOD = ("a.png", tarfile.REGTYPE, b"data")


@pytest.mark.parametrize(
    "entry",
    [
        ("b.png", tarfile.SYMTYPE, b""),
        ("b.png", tarfile.LNKTYPE, b""),
        ("b.png", tarfile.CHRTYPE, b""),
        ("b.png", tarfile.FIFOTYPE, b""),
        ("b.png", tarfile.DIRTYPE, b""),
        ("../b.png", tarfile.REGTYPE, b"x"),
        ("/tmp/b.png", tarfile.REGTYPE, b"x"),
        ("folder/b.png", tarfile.REGTYPE, b"x"),
        ("noextension", tarfile.REGTYPE, b"x"),
        ("a.png", tarfile.REGTYPE, b"twice"),
    ],
)
def test_links_devices_and_outside_names_are_refused(tmp_path, entry):
    make_tar(tmp_path / "x.tar", [GOOD, entry])
    with pytest.raises(DataError, match=r"x\.tar"):
        list(stream_shards(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar"]


def test_a_plain_tar_of_someone_else_is_read(tmp_path):
    make_tar(tmp_path / "x.tar", [GOOD, ("a.json", tarfile.REGTYPE, b"{}"), ("b.png", tarfile.REGTYPE, b"")])
    assert [(s["__key__"], sorted(k for k in s if k[0] != "_")) for s in stream_shards(tmp_path)] == [
        ("a", ["json", "png"]),
        ("b", ["png"]),
    ]


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz"])
def test_compressed_tars_are_refused(tmp_path, compression):
    make_tar(tmp_path / "x.tar", [GOOD], f"w:{compression}")
    with pytest.raises(DataError, match="no plain tar"):
        list(stream_shards(tmp_path))


def test_a_sparse_file_of_a_terabyte_is_refused(tmp_path):
    info = tarfile.TarInfo("a.png")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 2**40
    header = info.tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "x.tar").write_bytes(header + bytes(10240))
    with pytest.raises(DataError, match=r"x\.tar"):
        scan_shard(tmp_path / "x.tar")


def test_a_size_beyond_the_file_is_refused(tmp_path):
    info = tarfile.TarInfo("a.png")
    info.size = 2**40
    (tmp_path / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(DataError, match="truncated"):
        list(stream_shards(tmp_path))


def test_every_truncation_is_noticed(tmp_path):
    whole = make_tar(tmp_path / "x.tar", [GOOD, ("b.png", tarfile.REGTYPE, bytes(range(256)) * 3)]).read_bytes()
    end = 512 + 512 + 512 + 1024 + 1024  # two headers, two padded members, two closing blocks
    for length in [*range(1, end, 97), 512, 1024, 1536, 2560, 3072, end - 1]:
        (tmp_path / "x.tar").write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"x\.tar"):
            list(stream_shards(tmp_path))
    (tmp_path / "x.tar").write_bytes(whole[:end])
    assert len(list(stream_shards(tmp_path))) == 2


@pytest.mark.parametrize("content", [b"", b"not a tar" * 200, bytes(100)])
def test_what_is_no_tar_is_refused(tmp_path, content):
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.tar"):
        list(stream_shards(tmp_path))


def test_a_key_whose_members_are_apart_is_two_samples_for_webdataset_and_read_as_such(tmp_path):
    entries = [("a.png", tarfile.REGTYPE, b"1"), ("b.png", tarfile.REGTYPE, b"2"), ("a.json", tarfile.REGTYPE, b"3")]
    make_tar(tmp_path / "x.tar", entries)
    assert [s["__key__"] for s in stream_shards(tmp_path)] == ["a", "b", "a"]


def test_a_missing_folder_and_a_missing_shard(tmp_path):
    with pytest.raises(DataError, match="folder of shards is missing"):
        list(stream_shards(tmp_path / "none"))
    with pytest.raises(DataError, match="missing"):
        scan_shard(tmp_path / "none.tar")
