"""Fetching and reading weights, against a small server on the loopback address."""

import hashlib
import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from pipeline_lib.core.errors import CheckpointError, DownloadError
from pipeline_lib.data.faces.detection import weights
from pipeline_lib.data.faces.detection.weights import Release, cache_folder, fetch, read_state


def torch_bytes(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(
            zipfile.ZipInfo("weights.pth"), data
        )  # a fixed date: xdist wants the same names in every worker
    return buffer.getvalue()


STATE = {"a.weight": torch.arange(6.0).reshape(2, 3)}
CHECKPOINT = torch_bytes(STATE)
ARCHIVE = zipped(CHECKPOINT)


@pytest.fixture
def server():
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            if self.path.startswith("/gone"):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(ARCHIVE)))
            self.end_headers()
            self.wfile.write(ARCHIVE[: len(ARCHIVE) // 2] if self.path.startswith("/cut") else ARCHIVE)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", requests
        running.shutdown()


def prefix(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:9]


@pytest.mark.parametrize("hashed", [ARCHIVE, CHECKPOINT], ids=["of the archive", "of what is in it"])
def test_a_right_file_is_fetched_once(server, tmp_path, hashed):
    address, requests = server
    release = Release(f"{address}/w.zip", prefix(hashed))
    path = fetch(release, tmp_path / "cache")
    assert path.read_bytes() == ARCHIVE
    assert fetch(release, tmp_path / "cache") == path
    assert requests == ["/w.zip"]
    assert [p.name for p in path.parent.iterdir()] == ["w.zip"]
    torch.testing.assert_close(read_state(path), STATE)


@pytest.mark.parametrize(
    ("name", "digits", "message"),
    [
        ("w.zip", "0" * 9, "another hash"),
        ("gone.zip", prefix(ARCHIVE), "404"),
        ("cut.zip", prefix(ARCHIVE), "broke off"),
    ],
)
def test_anything_else_leaves_nothing_and_says_what_to_do(server, tmp_path, name, digits, message):
    address, _ = server
    with pytest.raises(DownloadError, match=message) as caught:
        fetch(Release(f"{address}/{name}", digits), tmp_path)
    assert "align.weights" in str(caught.value)
    assert address in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there(tmp_path):
    with pytest.raises(DownloadError, match="could not be downloaded"):
        fetch(Release("http://127.0.0.1:9/w.zip", "0"), tmp_path)


def test_the_cache_folder_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "face-verifier"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "face-verifier"


def test_the_default_is_the_published_file_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cached = tmp_path / "face-verifier" / "retinaface_resnet50_2020-07-20-f168fae3c.zip"
    cached.parent.mkdir()
    cached.write_bytes(ARCHIVE)
    assert weights.resnet50_weights() == cached
    assert weights.RESNET50.sha256_prefix in weights.RESNET50.name


class Evil:
    """Its pickle would create a file."""

    def __reduce__(self):
        return exec, ("open('evil', 'w')",)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        CHECKPOINT[:-100],
        CHECKPOINT[:100],
        ARCHIVE[:-10],
        zipped(b"hello"),
        torch_bytes([torch.zeros(1)]),
        torch_bytes({}),
        torch_bytes({"a": 1}),
        torch_bytes({"a": Evil()}),
    ],
    ids=["empty", "text", "cut", "stub", "cut zip", "zipped text", "a list", "nothing", "a number", "code"],
)
def test_files_that_are_no_state_dict_are_refused(tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "w.pth"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"w\.pth"):
        read_state(path)
    assert not (tmp_path / "evil").exists()


def test_a_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match="missing"):
        read_state(tmp_path / "none.pth")


def test_a_plain_and_an_old_format_checkpoint_are_read(tmp_path):
    (tmp_path / "new.pth").write_bytes(CHECKPOINT)
    torch.save(STATE, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("new.pth", "old.pth"):
        torch.testing.assert_close(read_state(tmp_path / name), STATE)
