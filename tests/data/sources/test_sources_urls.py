"""Sources by URL are what they are in a folder: the same people and bytes, from a web server and from a bucket."""

import io
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.photos.photo import PhotoError
from pipeline_lib.data.photos.place import Place, look_at_all, place_below, read_photo
from pipeline_lib.data.photos.recordio import pack
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.data.sources.shared.manifest import build_manifest
from pipeline_lib.data.sources.shared.read import read_sources
from pipeline_lib.params.ingest import Ingest
from tests.data.s3_server import serve_folder

KINDS = {"recordio": "rec", "webdataset": "tar", "parquet": "parquet", "verification_bin": "bin"}
PEOPLE, EACH, MAX_PIXELS = 4, 3, 10_000


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of each format, of the same twelve photographs."""
    root = tmp_path_factory.mktemp("collections")
    for kind in KINDS:
        (root / kind).mkdir()
    rng = np.random.default_rng(0)
    pictures = [encode_png(rng.integers(0, 256, (8, 8, 3), np.uint8)) for _ in range(PEOPLE * EACH)]
    records = [pack((float(number // EACH),), number, content) for number, content in enumerate(pictures)]
    offsets = np.cumsum([0, *map(len, records)]).tolist()
    (root / "recordio/train.rec").write_bytes(b"".join(records))
    (root / "recordio/train.idx").write_text("".join(f"{key}\t{offsets[key]}\n" for key in range(len(records))))
    for half in (0, 1):
        with tarfile.open(root / f"webdataset/{half}.tar", "w") as tar:
            for number in range(half * 6, half * 6 + 6):
                for kind, content in (("png", pictures[number]), ("cls", str(number // EACH).encode())):
                    info = tarfile.TarInfo(f"{number:03d}.{kind}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    labels = [number // EACH for number in range(len(pictures))]
    pq.write_table(pa.table({"image": pictures, "label": labels}), root / "parquet/a.parquet")
    (root / "verification_bin/own.bin").write_bytes(pickle.dumps((pictures, [True, False] * 3)))
    return root


@pytest.fixture(params=["http", "s3", "file"])
def address(request: pytest.FixtureRequest, collections: Path) -> Iterator[str]:
    """The URL of a copy of the collections."""
    if request.param == "file":
        yield collections.as_uri()
    elif request.param == "http":
        with serve_folder(collections) as served:
            yield served
    else:
        import s3fs

        bucket = request.getfixturevalue("s3_bucket")
        s3fs.S3FileSystem().put(f"{collections}/", f"{bucket}/faces/", recursive=True)
        yield f"{bucket}/faces"


def built(kind: str, path: str, root: Path, photos: Path) -> dict[str, list[object]]:
    split = "test" if kind == "verification_bin" else "train"
    settings = Ingest.model_validate(
        {
            "root": str(root), "sources": [{"kind": kind, "path": path, "split": split}], "val_share": 0.0, "test_share": 0.0,
            "pairs_per_fold": 2, "num_folds": 2, "max_identities": None, "max_folds": None, "max_pixels": MAX_PIXELS,
            "max_reject_share": 0.0, "seed": 1,
        }
    )  # fmt: skip
    table = build_manifest(read_sources(settings.sources, {}, root, photos), settings).manifest.table()
    uris = set(table["uri"].to_pylist())
    for row in table.select(["uri", "offset", "length"]).to_pylist():
        read_photo(place_below(Path(), row["uri"], row["offset"], row["length"]), MAX_PIXELS)
    assert all(uri.startswith((path, str(photos))) or "://" not in path for uri in uris)
    return table.drop_columns(["uri"]).to_pydict()


@pytest.mark.parametrize("kind", KINDS)
def test_as_in_a_folder(collections: Path, address: str, kind: str, tmp_path: Path) -> None:
    there = built(kind, f"{address}/{kind}", tmp_path, tmp_path / "photos")
    assert there == built(kind, kind, collections, tmp_path / "photos")
    assert len(there["image_id"]) == PEOPLE * EACH


@pytest.mark.parametrize("kind", KINDS)
def test_one_file_by_its_url(collections: Path, kind: str, tmp_path: Path) -> None:
    address = collections.as_uri()
    name = {"recordio": "train.rec", "webdataset": "0.tar", "parquet": "a.parquet", "verification_bin": "own.bin"}[kind]
    there = built(kind, f"{address}/{kind}/{name}", tmp_path, tmp_path / "photos")
    assert there == built(kind, f"{kind}/{name}", collections, tmp_path / "photos")


def test_what_is_not_there(collections: Path, tmp_path: Path) -> None:
    with serve_folder(collections) as address:
        for kind, what in (("recordio", r"one \.rec"), ("webdataset", r"no WebDataset tar"), ("parquet", "no Parquet")):
            with pytest.raises(DataError, match=what):
                built(kind, f"{address}/gone", tmp_path, tmp_path / "photos")
        with pytest.raises(DataError, match=r"(?s)image_folder is read from files.*recordio"):
            built("image_folder", address, tmp_path, tmp_path / "photos")
        place = Place(f"{address}/recordio/train.rec", 10**6, 10)
    for gone in (place, Place(f"{address}/recordio/gone.rec", 0, 10)):  # and the server has ended
        (error,) = look_at_all([gone], MAX_PIXELS)
        assert isinstance(error, PhotoError)
        assert error.reason == "unreadable"
