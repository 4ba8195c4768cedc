"""What the writer writes, the reader, WebDataset and tarfile read."""

import hashlib
import os
import pickle
import resource
import tarfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.shards_loops import members_by_tarfile

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import read_table, write_table
from pipeline_lib.data.shards import reader as reader_module
from pipeline_lib.data.shards.index import scan_shard
from pipeline_lib.data.shards.reader import ShardReader, stream_shards
from pipeline_lib.data.shards.writer import PieceWriter, Shard, ShardWriter
from pipeline_lib.schemas.shard_index import SHARD_INDEX

LANDMARKS = np.arange(10, dtype=np.float32).reshape(5, 2)


def write(folder: Path, samples, images_per_shard=3) -> pa.Table:
    folder.mkdir(parents=True, exist_ok=True)
    with ShardWriter(folder, "set", images_per_shard) as writer:
        for key, members in samples:
            writer.write(key, members, image_id=key, identity="ann", split="train", landmarks=LANDMARKS, score=0.5)
    return writer.index()


def ten_samples():
    rng = np.random.default_rng(0)
    return [(f"img{i}", {"png": rng.bytes(100 * i), "json": b"{}", "a.png": rng.bytes(i)}) for i in range(10)]


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_same_samples_give_the_same_bytes_whatever_the_order_of_members(tmp_path):
    write(tmp_path / "a", ten_samples())
    write(tmp_path / "b", [(key, dict(reversed(members.items()))) for key, members in ten_samples()])
    assert sorted(digests(tmp_path / "a")) == [f"set-{i:06d}.tar" for i in range(4)]
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_headers_say_nothing_about_when_and_who(tmp_path):
    write(tmp_path, ten_samples())
    with tarfile.open(tmp_path / "set-000000.tar") as tar:
        heads = {(i.mtime, i.uid, i.gid, i.uname, i.gname, i.mode) for i in tar.getmembers()}
        names = tar.getnames()
    assert heads == {(0, 0, 0, "", "", 0o444)}
    assert names == sorted(names)  # members sorted within their key, and these keys are in order


def test_index_points_at_the_bytes_and_carries_the_labels(tmp_path):
    index = write(tmp_path, ten_samples())
    write_table(tmp_path / "index.parquet", index, SHARD_INDEX)
    index = read_table(tmp_path / "index.parquet", SHARD_INDEX)
    truth = members_by_tarfile(tmp_path)
    reader = ShardReader(tmp_path, index)
    assert len(reader) == len(truth) == 30
    for i, row in enumerate(index.to_pylist()):
        assert reader.read(i) == truth[f"{row['key']}.{row['member']}"]
        raw = (tmp_path / row["shard"]).read_bytes()
        assert raw[row["offset"] : row["offset"] + row["size"]] == reader.read(i)
        assert (row["image_id"], row["identity"], row["split"], row["score"]) == (row["key"], "ann", "train", 0.5)
        assert row["landmarks"] == LANDMARKS.ravel().tolist()


def test_scan_finds_what_the_index_says(tmp_path):
    index = write(tmp_path, ten_samples())
    spans = [(p.name, s.key, s.member, s.offset, s.size) for p in sorted(tmp_path.glob("*.tar")) for s in scan_shard(p)]
    assert spans == list(
        zip(*(index[name].to_pylist() for name in ("shard", "key", "member", "offset", "size")), strict=True)
    )


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 1500), min_size=1, max_size=8),
    per_shard=st.integers(1, 4),
    name=st.text("abcXYZ019_-+", min_size=1, max_size=140),  # over 100 characters a tar needs a second header
)
def test_any_sizes_and_names_come_back(tmp_path_factory, sizes, per_shard, name):
    folder = tmp_path_factory.mktemp("set")
    samples = [(f"{name}{i}", {"png": bytes([i]) * size}) for i, size in enumerate(sizes)]
    reader = ShardReader(folder, write(folder, samples, per_shard))
    assert [reader.read(i) for i in range(len(reader))] == [members["png"] for _, members in samples]
    assert [(s["__key__"], s["png"]) for s in stream_shards(folder)] == [(key, m["png"]) for key, m in samples]
    assert len(list(folder.glob("*.tar"))) == -(-len(sizes) // per_shard)


def test_webdataset_reads_them(tmp_path):
    write(tmp_path, ten_samples())
    urls = [str(path) for path in sorted(tmp_path.glob("*.tar"))]
    found = [
        {k: v for k, v in s.items() if not k.startswith("__")} for s in webdataset.WebDataset(urls, shardshuffle=False)
    ]
    assert found == [members for _, members in ten_samples()]


def test_streaming_gives_raw_bytes_and_writes_and_unpickles_nothing(tmp_path, monkeypatch):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    bomb = pickle.dumps(Trap())
    write(tmp_path / "set", [("a", {"pyd": bomb, "pickle": bomb, "pth": bomb})])
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    [sample] = stream_shards(tmp_path / "set")
    assert sample["pyd"] == bomb
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_set(tmp_path):
    index = write(tmp_path, [])
    assert index.schema == SHARD_INDEX
    assert len(ShardReader(tmp_path, index)) == 0
    assert list(stream_shards(tmp_path)) == list(tmp_path.iterdir()) == []


def test_a_reader_survives_pickling_and_forking(tmp_path):
    reader = ShardReader(tmp_path, write(tmp_path, ten_samples()))
    expected = [reader.read(i) for i in range(30)]  # descriptors are open now
    copy = pickle.loads(pickle.dumps(reader))
    assert [copy.read(i) for i in range(30)] == expected
    inlet, outlet = os.pipe()
    child = os.fork()
    if child == 0:  # both processes read through the same inherited descriptors
        same = all(reader.read(i) == expected[i] for _ in range(20) for i in range(29, -1, -1))
        os.write(outlet, b"y" if same else b"n")
        os._exit(0)
    assert all(reader.read(i) == expected[i] for _ in range(20) for i in range(30))
    os.waitpid(child, 0)
    assert os.read(inlet, 1) == b"y"


def test_only_so_many_shards_are_open_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(reader_module, "MAX_OPEN_SHARDS", 3)
    reader = ShardReader(tmp_path, write(tmp_path, ten_samples(), images_per_shard=1))
    before = len(os.listdir("/proc/self/fd"))
    for i in np.random.default_rng(0).permutation(np.repeat(np.arange(30), 3)):
        reader.read(int(i))
        assert len(os.listdir("/proc/self/fd")) <= before + 3


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:700]), "ends before"),
        (lambda path: path.write_bytes(b""), "ends before"),
        (lambda path: path.write_bytes(bytes(len(path.read_bytes()))), "another member"),
    ],
)
def test_a_damaged_shard_is_named_with_its_key(tmp_path, damage, message):
    reader = ShardReader(tmp_path, write(tmp_path, ten_samples()))
    damage(tmp_path / "set-000001.tar")
    assert reader.read(0) == ten_samples()[0][1]["a.png"]
    with pytest.raises(DataError, match=message) as error:
        reader.read(14)
    assert "set-000001.tar" in str(error.value)
    assert "img4.png" in str(error.value)


def test_an_index_of_impossible_places_is_refused_before_anything_is_read(tmp_path):
    index = write(tmp_path, ten_samples())
    for column, value in (("size", 2**45), ("offset", 2**45), ("offset", 0), ("size", -1)):
        wrong = index.set_column(index.schema.get_field_index(column), column, pa.array([value] * 30, pa.int64()))
        with pytest.raises(DataError, match=r"img0\.a\.png"):
            ShardReader(tmp_path, wrong).read(0)


def test_an_index_of_another_set_is_noticed(tmp_path):
    index = write(tmp_path / "a", ten_samples())
    write(tmp_path / "b", [(f"other{i}", {"png": b"x" * 999}) for i in range(10)])
    with pytest.raises(DataError, match="another member"):
        ShardReader(tmp_path / "b", index).read(0)


@pytest.mark.parametrize("key", ["", "a.b", "a/b", "../a", "a b", "ä", "a\n"])
def test_keys_that_webdataset_would_split_are_refused(tmp_path, key):
    with pytest.raises(DataError, match="no WebDataset key"):
        write(tmp_path, [(key, {"png": b""})])


@pytest.mark.parametrize("member", ["", "PNG", "_meta", ".png", "a/b", "png."])
def test_member_names_that_would_change_are_refused(tmp_path, member):
    with pytest.raises(DataError, match="member name"):
        write(tmp_path, [("a", {member: b""})])


def test_double_keys_and_empty_samples_are_refused(tmp_path):
    with pytest.raises(DataError, match="stands twice"):
        write(tmp_path / "a", [("k", {"png": b"1"}), ("l", {"png": b"1"}), ("k", {"json": b"2"})], images_per_shard=1)
    with pytest.raises(DataError, match="no members"):
        write(tmp_path / "b", [("k", {})])


def test_a_second_writer_does_not_overwrite(tmp_path):
    write(tmp_path, ten_samples())
    before = digests(tmp_path)
    with pytest.raises(DataError, match="cannot be made"):
        write(tmp_path, [("new", {"png": b""})])
    assert digests(tmp_path) == before


def test_a_full_disk_is_a_clear_error(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # a write beyond it fails as one to a full disk does
    try:
        with pytest.raises(DataError, match=r"cannot be written[\s\S]*set-000000\.tar"):
            write(tmp_path, [(f"k{i}", {"png": bytes(5000)}) for i in range(20)], images_per_shard=100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_tar_of_pieces_is_what_webdataset_writes_at_once(tmp_path):
    """Byte for byte, wherever the pieces begin, also with a name that is too long for a tar's header."""
    from webdataset import TarWriter

    samples = [(f"key{i}", {"png": bytes([i]) * (511 + i), "json": b"{}"}) for i in range(5)]
    samples.append(("k" * 120, {"png": b"x"}))
    with (tmp_path / "theirs.tar").open("wb") as file:
        tar = TarWriter(file, encoder=False, user="", group="", mode=0o444, mtime=0)
        for key, members in samples:
            for member in sorted(members):
                tar.write({"__key__": key, member: members[member]})
        tar.close()
    for ends in ([6], [1, 6], [0, 2, 3, 6]):
        name = f"ours{len(ends)}.tar"
        shard = Shard(tmp_path / name, name)
        for first, last in pairwise([0, *ends]):
            writer = PieceWriter()
            for key, members in samples[first:last]:
                who = {"image_id": key, "identity": "a", "split": "train"}
                writer.write(key, members, **who, landmarks=np.zeros((5, 2)), score=1.0)
            shard.append(writer.piece())
        index = shard.close()
        assert (tmp_path / name).read_bytes() == (tmp_path / "theirs.tar").read_bytes()
        found = [(span.key, span.member, span.offset, span.size) for span in scan_shard(tmp_path / name)]
        assert found == list(zip(*(index[c].to_pylist() for c in ("key", "member", "offset", "size")), strict=True))
        assert set(index["shard"].to_pylist()) == {name}


def test_a_key_of_two_pieces_is_refused(tmp_path):
    shard = Shard(tmp_path / "a.tar", "a.tar")
    for _ in range(2):
        writer = PieceWriter()
        who = {"image_id": "k", "identity": "a", "split": "train"}
        writer.write("k", {"png": b"1"}, **who, landmarks=np.zeros((5, 2)), score=1.0)
        shard.append(writer.piece())
    with pytest.raises(DataError, match="twice"):
        shard.close()
