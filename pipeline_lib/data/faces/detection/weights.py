"""Published detector weights: fetched once into a cache, checked by their hash, read without running what they hold."""

import hashlib
import http.client
import io
import os
import pickle
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pipeline_lib.core.errors import CheckpointError, DownloadError
from pipeline_lib.core.files import atomic_file
from pipeline_lib.core.progress import track

CHUNK_BYTES = 1 << 20
TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Release:
    """A published file: where it is and the hexadecimal digits its SHA-256 begins with."""

    url: str
    sha256_prefix: str

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rsplit("/", 1)[-1]


# MIT licence. The zip holds one torch file. Its name carries the hash prefix, as is torch.hub's custom.
RESNET50 = Release(
    "https://github.com/ternaus/retinaface/releases/download/0.01/retinaface_resnet50_2020-07-20-f168fae3c.zip",
    "f168fae3c",
)


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/face-verifier, by default ~/.cache/face-verifier."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "face-verifier"


def resnet50_weights() -> Path:
    """Path of retinaface-pytorch's ResNet-50 checkpoint, downloaded (about 100 MB) at the first call.

    Raises:
        DownloadError: see fetch.
    """
    return fetch(RESNET50, cache_folder())


def fetch(release: Release, folder: Path) -> Path:
    """Path of a release's file in `folder`; downloads it if it is not there, whole and right or not at all.

    Raises:
        DownloadError: the address cannot be reached or answers with an error, the connection breaks off, or the hash is
            another. Names the address and how to give the file by path instead.
    """
    path = folder / release.name
    if path.is_file():
        return path  # it took this name only after its hash was checked
    with atomic_file(path) as partial:
        try:
            _download(release.url, partial)
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            raise _failed("The detector's weights could not be downloaded.", error, "a download", release) from error
        found = [_sha256(data) for data in _candidates(partial)]
        if not any(digest.startswith(release.sha256_prefix) for digest in found):
            raise _failed("The downloaded weights have another hash.", found[0], f"{release.sha256_prefix}...", release)
    return path


def read_state(path: Path) -> dict[str, Tensor]:
    """Tensors of a torch checkpoint (weights_only: nothing in it is run), or of a zip that holds just one such file.

    Raises:
        CheckpointError: the file is missing, truncated, no checkpoint, or holds something else than named tensors.
    """
    if not path.is_file():
        raise CheckpointError("The detector's weights are missing.", got="no such file", where=path)
    try:
        member = _only_member(path)
        source = path if member is None else io.BytesIO(member)
        state = torch.load(source, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            "The detector's weights cannot be read.", got=f"{type(error).__name__}: {error}", where=path
        ) from error
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(
            "The file holds no state dict.", got=type(state).__name__, allowed="a dictionary name -> tensor", where=path
        )
    return dict(state)


def _download(url: str, target: Path) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response, target.open("wb") as handle:
        length = int(response.headers.get("Content-Length", "-1"))
        num_chunks = -(-length // CHUNK_BYTES) if length >= 0 else None

        def chunks() -> Iterator[bytes]:
            while chunk := response.read(CHUNK_BYTES):
                yield chunk

        for chunk in track(chunks(), f"download {target.name}, MiB", total=num_chunks):
            handle.write(chunk)
        # read(n) of a connection that was cut returns what came, without an error.
        if length >= 0 and handle.tell() != length:
            raise http.client.HTTPException(f"the connection broke off after {handle.tell()} of {length} bytes")


def _candidates(path: Path) -> Iterator[bytes]:
    """What the published hash may be of: the file, or what is zipped in it; the file's name does not say which."""
    yield path.read_bytes()
    try:
        member = _only_member(path)
    except zipfile.BadZipFile:
        return  # a broken archive: its own hash was wrong already
    if member is not None:
        yield member


def _only_member(path: Path) -> bytes | None:
    """The single file in a zip archive; None for anything else (a torch checkpoint is itself a zip of many files)."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        return archive.read(members[0]) if len(members) == 1 and not members[0].is_dir() else None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _failed(what: str, got: object, allowed: str, release: Release) -> DownloadError:
    by_hand = f"{what} Fetch the file yourself and give its path as align.weights."
    return DownloadError(by_hand, got=got, allowed=allowed, where=release.url)
