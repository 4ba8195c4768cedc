"""Aligned faces written in every format, and read back by the sources: the same pixels, people and pairs."""

import io
import lzma
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.data.exports import folder, recordio, verification_bin
from pipeline_lib.data.exports.shared.faces import exported_faces
from pipeline_lib.data.photos.photo import decode_photo
from pipeline_lib.data.photos.place import read_photo
from pipeline_lib.data.photos.recordio import MAGIC, pack
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.data.shards.writer import ShardWriter
from pipeline_lib.data.sources import image_folder, parquet, webdataset
from pipeline_lib.data.sources import recordio as recordio_source
from pipeline_lib.data.sources import verification_bin as bin_source
from pipeline_lib.data.sources.shared.records import PhotoRecord, SourceFaces, as_photos
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.shard_index import SHARD_INDEX

PEOPLE = {"ann": 3, "bo": 1, "cy": 2}


def pixels(name: str) -> np.ndarray:
    seed = int.from_bytes(name.encode(), "big") % 2**32
    return np.random.default_rng(seed).integers(0, 256, (112, 112, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("data")
    (data / "align/shards").mkdir(parents=True)
    with ShardWriter(data / "align/shards", "aligned", 4) as writer:
        for person, count in PEOPLE.items():
            for number in range(count):
                name = f"{person}-{number}"
                about = {"image_id": name, "identity": person, "split": "test"}
                members = {"png": encode_png(pixels(name)), "json": b"{}"}
                writer.write(name, members, **about, landmarks=np.zeros((5, 2), np.float32), score=1.0)
    write_table(data / "align/index.parquet", writer.index(), SHARD_INDEX)
    pairs = [("ann-0", "ann-2", True), ("cy-1", "cy-0", True), ("ann-0", "bo-0", False), ("cy-1", "bo-0", False)]
    rows = [
        {"protocol": "own", "fold": fold, "image_a": a, "image_b": b, "genuine": genuine, "group": None}
        for fold, (a, b, genuine) in enumerate([*pairs, ("ann-1", "gone", False)])
    ]
    write_table(data / "ingest/pairs.parquet", table_from_rows(rows, PAIRS), PAIRS)
    return data


def decoded(photo: PhotoRecord) -> bytes:
    return decode_photo(read_photo(photo.place, 10**6), 10**6).tobytes()


def by_person(faces: SourceFaces) -> set[frozenset[bytes]]:
    found: dict[str, set[bytes]] = {}
    for photo in faces.photos:
        found.setdefault(photo.identity, set()).add(decoded(photo))
    return {frozenset(pictures) for pictures in found.values()}


def expected(*people: str) -> set[frozenset[bytes]]:
    return {frozenset(pixels(f"{person}-{n}").tobytes() for n in range(PEOPLE[person])) for person in people or PEOPLE}


def test_folder(rebuilt: Path, tmp_path: Path) -> None:
    folder.write(exported_faces(rebuilt / "align", "test", None, None), tmp_path / "out")
    faces = image_folder.read(tmp_path / "out")
    assert {photo.identity for photo in faces.photos} == set(PEOPLE)
    assert by_person(faces) == expected()


def test_recordio(rebuilt: Path, tmp_path: Path) -> None:
    recordio.write(exported_faces(rebuilt / "align", None, None, None), tmp_path / "set")
    faces = recordio_source.read(tmp_path / "set")
    assert [photo.identity for photo in faces.photos] == ["set-0"] * 3 + ["set-1"] + ["set-2"] * 2
    assert [photo.image_id for photo in faces.photos] == [f"set-{key:08d}" for key in range(1, 7)]
    assert by_person(faces) == expected()
    assert (tmp_path / "set/property").read_text() == "3,112,112\n"
    assert (tmp_path / "set/identities.txt").read_text().split() == ["ann", "bo", "cy"]
    assert recordio_source.read(tmp_path / "set/train.rec").photos.unique("identity") == {
        "train-0",
        "train-1",
        "train-2",
    }


def test_verification_set(rebuilt: Path, tmp_path: Path) -> None:
    faces = exported_faces(rebuilt / "align", None, rebuilt / "ingest/pairs.parquet", "own")
    verification_bin.write(faces, tmp_path / "own.bin")
    pictures, answers = pickle.loads((tmp_path / "own.bin").read_bytes())
    assert [decode_photo(p, 10**6).tobytes() for p in pictures[:2]] == [pixels(n).tobytes() for n in ("ann-0", "ann-2")]
    assert answers == [True, True, False, False]
    (tmp_path / "own2.bin.xz").write_bytes(lzma.compress((tmp_path / "own.bin").read_bytes()))
    read = bin_source.unpack(tmp_path, tmp_path / "packs", write=True)
    assert len(read.photos) == 2 * 5  # ann-0, ann-2, cy-1, cy-0, bo-0 in each set
    own = SourceFaces(as_photos(photo for photo in read.photos if photo.image_id.startswith("own-")))
    joined = {
        frozenset(pixels(n).tobytes() for n in names) for names in (["ann-0", "ann-2"], ["cy-0", "cy-1"], ["bo-0"])
    }
    assert by_person(own) == joined
    content = {photo.image_id: decoded(photo) for photo in read.photos}
    for protocol in ("own", "own2"):
        found = [
            (content[p.image_a], content[p.image_b], p.genuine, p.fold) for p in read.pairs if p.protocol == protocol
        ]
        names = [("ann-0", "ann-2"), ("cy-1", "cy-0"), ("ann-0", "bo-0"), ("cy-1", "bo-0")]
        wanted = [(pixels(a).tobytes(), pixels(b).tobytes()) for a, b in names]
        assert [pair[:2] for pair in found] == wanted
        assert [pair[2:] for pair in found] == [(True, 0), (True, 1), (False, 2), (False, 3)]
    listed = bin_source.unpack(tmp_path, tmp_path / "nowhere", write=False)
    assert not (tmp_path / "nowhere").exists()
    assert [(p.image_id, p.identity) for p in listed.photos] == [(p.image_id, p.identity) for p in read.photos]
    with pytest.raises(DataError, match="no pair to export"):
        verification_bin.write(exported_faces(rebuilt / "align", None, None, None), tmp_path / "none.bin")


def test_tars_that_we_write_are_webdatasets(rebuilt: Path, tmp_path: Path) -> None:
    (tmp_path / "tars").mkdir()
    with ShardWriter(tmp_path / "tars", "x", 4) as writer:
        for number, name in enumerate(["ann-0", "ann-1", "bo-0"]):
            about = {"image_id": name, "identity": name[:2], "split": "test"}
            label = {"json": b'{"identity": "Ann"}'} if number == 0 else {"cls": b"Ann" if number == 1 else b"12"}
            members = {"png": encode_png(pixels(name)), **label, "txt": b"passed over"}
            writer.write(name, members, **about, landmarks=np.zeros((5, 2), np.float32), score=1.0)
    faces = webdataset.read(tmp_path / "tars")
    assert [photo.identity for photo in faces.photos] == ["ann", "ann", "tars-12"]
    assert [decoded(photo) for photo in faces.photos] == [pixels(n).tobytes() for n in ("ann-0", "ann-1", "bo-0")]


def test_parquet(tmp_path: Path) -> None:
    rows = [
        {"image": {"bytes": encode_png(pixels(n)), "path": None}, "label": label}
        for n, label in (("ann-0", 0), ("bo-0", 1))
    ]
    (tmp_path / "hub").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "hub/a.parquet")
    plain = {"jpg": [encode_png(pixels("cy-0"))], "identity": ["Jörg"]}
    pq.write_table(pa.table(plain), tmp_path / "hub/b.parquet")
    faces = parquet.unpack(tmp_path / "hub", tmp_path / "packs", write=True)
    assert [photo.identity for photo in faces.photos] == ["hub-0", "hub-1", "jörg"]
    assert [decoded(photo) for photo in faces.photos] == [pixels(n).tobytes() for n in ("ann-0", "bo-0", "cy-0")]
    listed = parquet.unpack(tmp_path / "hub", tmp_path / "nowhere", write=False)
    assert [p.image_id for p in listed.photos] == [p.image_id for p in faces.photos]
    assert not (tmp_path / "nowhere").exists()


def test_a_record_in_several_parts_is_a_photograph(tmp_path: Path) -> None:
    """A PNG with the magic word in a chunk: the record has parts, and the photograph comes out whole."""
    for margin in range(4):  # one of them puts the word on a multiple of 4
        info = PngInfo()
        info.add(b"teSt", b"." * margin + MAGIC + b"....")
        buffer = io.BytesIO()
        Image.fromarray(pixels("x")).save(buffer, "PNG", pnginfo=info)
        content = buffer.getvalue()
        (tmp_path / f"set{margin}").mkdir()
        (tmp_path / f"set{margin}/train.rec").write_bytes(pack((4.0,), 0, content))
        (tmp_path / f"set{margin}/train.idx").write_text("0\t0\n")
        [photo] = recordio_source.read(tmp_path / f"set{margin}").photos
        assert photo.identity == f"set{margin}-4"
        assert read_photo(photo.place, 10**6) == content
