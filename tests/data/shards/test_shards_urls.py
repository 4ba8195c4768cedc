"""Shards behind URLs: an S3-compatible server and a plain HTTP one, both on loopback."""

import functools
import pickle
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.shards.reader import ShardReader, shards_place, stream_shards
from pipeline_lib.data.shards.writer import ShardWriter

BUCKET = "faces"


def write(folder: Path) -> "object":
    """Two shards of three samples."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with ShardWriter(folder, "set", images_per_shard=3) as writer:
        for i in range(6):
            members = {"png": rng.bytes(900 * i), "json": b"{}"}
            writer.write(
                f"img{i}",
                members,
                image_id=f"img{i}",
                identity="ann",
                split="train",
                landmarks=np.zeros((5, 2)),
                score=1.0,
            )
    return writer.index()


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, object]]:
    """A URL of a folder in a bucket, and the folder that it is a copy of."""
    server_module = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    folder = tmp_path_factory.mktemp("local") / "align" / "shards"
    index = write(folder)
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    patch = pytest.MonkeyPatch()
    _, port = server.get_host_and_port()
    patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    store = fsspec.filesystem("s3", skip_instance_cache=True)
    store.mkdir(BUCKET)
    store.put(str(folder), f"{BUCKET}/copies/align/shards", recursive=True)
    yield shards_place(folder, f"s3://{BUCKET}/copies/"), folder, index
    patch.undo()
    server.stop()


def test_any_member_of_a_bucket_alone_and_many_at_once(bucket: tuple[str, Path, object]) -> None:
    url, folder, index = bucket
    local, remote = ShardReader(folder, index), ShardReader(url, index)
    rows = [11, 0, 3, 3, 8]
    assert remote.read_many(rows) == local.read_many(rows)
    assert [remote.read(row) for row in range(12)] == [local.read(row) for row in range(12)]
    assert pickle.loads(pickle.dumps(remote)).read(5) == local.read(5)
    assert remote.read_many([]) == []


def test_a_bucket_as_a_stream(bucket: tuple[str, Path, object]) -> None:
    url, folder, _ = bucket
    named = [{name: value for name, value in sample.items() if name != "__url__"} for sample in stream_shards(url)]
    assert named == [
        {name: value for name, value in sample.items() if name != "__url__"} for sample in stream_shards(folder)
    ]
    assert len(named) == 6


def test_what_a_bucket_lacks_is_named(bucket: tuple[str, Path, object]) -> None:
    url, _, index = bucket
    for place in (f"{url}/elsewhere", "s3://no-such-bucket/x"):
        with pytest.raises(DataError, match=r"missing[\s\S]*set-000000\.tar, img0\.json"):
            ShardReader(place, index).read(0)
        with pytest.raises(DataError, match="cannot be listed"):
            list(stream_shards(place))
    for column, value in (("offset", 2**40), ("size", 2**30)):
        wrong = index.set_column(index.column_names.index(column), column, [[value] * 12])
        with pytest.raises(DataError, match=r"ends before|cannot be read") as error:
            ShardReader(url, wrong).read(0)
        assert "img0.json" in str(error.value)


class _Ranges(SimpleHTTPRequestHandler):
    """Serves a folder; honours Range, which the standard library's handler does not."""

    def do_GET(self) -> None:
        """A file, or the part of it that is asked for."""
        path = Path(self.translate_path(self.path))
        wanted = self.headers.get("Range")
        if wanted is None or not path.is_file():
            super().do_GET()
            return
        first, last = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
        data = path.read_bytes()[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class _Whole(SimpleHTTPRequestHandler):
    """Serves a folder, always whole files."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.mark.parametrize("handler", [_Ranges, _Whole])
def test_http_serves_parts_or_is_refused(tmp_path: Path, handler: type[SimpleHTTPRequestHandler]) -> None:
    pytest.importorskip("aiohttp")
    index = write(tmp_path / "shards")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        reader = ShardReader(f"http://127.0.0.1:{server.server_port}/shards", index)
        if handler is _Whole:
            with pytest.raises(DataError, match=r"whole shards[\s\S]*img0\.json"):
                reader.read(0)
        else:
            local = ShardReader(tmp_path / "shards", index)
            assert reader.read_many(list(range(12))) == local.read_many(list(range(12)))
            assert [s["__key__"] for s in stream_shards(f"http://127.0.0.1:{server.server_port}/shards")] == [
                f"img{i}" for i in range(6)
            ]
    finally:
        server.shutdown()
        server.server_close()


def test_file_urls_are_folders(tmp_path: Path) -> None:
    index = write(tmp_path / "a b")
    assert ShardReader((tmp_path / "a b").as_uri(), index).read(1) == ShardReader(tmp_path / "a b", index).read(1)


@pytest.mark.parametrize(
    "url",
    ["ftp://x/y", "pipe:cat x", "simplecache::s3://x", "github://a:b@c/", "s3://", "data/align", "file", "local://x"],
)
def test_other_urls_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read from such a URL"):
        ShardReader(url, write(tmp_path / "x"))


def test_passwords_are_refused_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="belong into the environment") as error:
        ShardReader("https://ann:sesame@example.org/x", write(tmp_path / "x"))
    assert "sesame" not in str(error.value)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_package(scheme: str, **options: object) -> None:
        raise ImportError(f"Install what reads {scheme}")

    monkeypatch.setattr(fsspec, "filesystem", without_package)
    with pytest.raises(DataError, match=r'pip install "face-verifier\[s3\]"'):
        ShardReader("s3://faces/x", write(tmp_path / "x"))
