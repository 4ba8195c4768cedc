"""Where a photograph's bytes lie: in a file of their own, or within one that holds many."""

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import sha256_file
from pipeline_lib.core.urls import file_size, is_url, read_range
from pipeline_lib.data.photos import recordio
from pipeline_lib.data.photos.bad_entries import printable
from pipeline_lib.data.photos.photo import PhotoError, Probe, probe_bytes, probe_photo

# An uncompressed TIFF with four 16-bit channels needs 8 bytes a pixel; a longer file holds more pixels than are allowed.
MAX_BYTES_A_PIXEL = 8
BLOCK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Place:
    """A file, or `length` bytes from `offset` on of one that holds many photographs (RecordIO, tar, a pack).

    A range that begins with RecordIO's magic word, as no picture does, is a whole record in several parts.
    """

    path: Path | str
    offset: int | None = None
    length: int | None = None


LookedAt = tuple[Probe, bytes]  # a photograph's size by its header, and the SHA-256 of its bytes


def place_below(root: Path, uri: str, offset: int | None = None, length: int | None = None) -> Place:
    """The place of a manifest's row: a path below a folder, or a URL."""
    return Place(uri if is_url(uri) else root / uri, offset, length)


def read_photo(place: Place, max_pixels: int) -> bytes:
    """A photograph's bytes; the file's kind, and how many they are, are looked at before anything is opened.

    Raises:
        PhotoError: unreadable, truncated (the file ends before the range), too_large (longer than any picture of
            `max_pixels`), or bad_name.
    """
    with Reader(max_pixels) as reader:
        return reader.read(place)


def look_at(place: Place, max_pixels: int) -> LookedAt:
    """A photograph's size by its header, and the SHA-256 of its bytes.

    Raises:
        PhotoError: see read_photo and probe_photo.
    """
    with Reader(max_pixels) as reader:
        return reader.look_at(place)


def look_at_all(places: Sequence[Place], max_pixels: int) -> list[LookedAt | PhotoError]:
    """look_at for each, or the error that it raises."""
    with Reader(max_pixels, BLOCK_BYTES) as reader:
        return [reader.try_to_look_at(place) for place in places]


class Reader:
    """Reads photographs one behind the other; a file that holds many stays open as long as it is the one asked for.

    Args:
        block_bytes: of a file that holds many, how much is read at once, for who asks for neighbours; 0 for one only.
    """

    def __init__(self, max_pixels: int, block_bytes: int = 0) -> None:
        self._max_pixels, self._block_bytes, self._file = max_pixels, block_bytes, -1
        self._block, self._block_at = memoryview(b""), 0
        self._path: Path | str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def read(self, place: Place) -> bytes:
        """As read_photo."""
        try:
            data = self._read(place)
        except OSError as error:
            raise _of_system(error) from error
        if len(data) < (place.length or 0):
            raise PhotoError("truncated", "the file that holds it ends before it does")
        return _joined(data) if place.offset is not None and data.startswith(recordio.MAGIC) else data

    def look_at(self, place: Place) -> LookedAt:
        """As look_at."""
        if place.offset is None and not is_url(
            place.path
        ):  # a file of its own may be long: no more than its header is held
            return self._look_at_file(Path(place.path))
        data = self.read(place)
        return probe_bytes(data, self._max_pixels), hashlib.sha256(data).digest()

    def try_to_look_at(self, place: Place) -> LookedAt | PhotoError:
        """look_at, or the error that it raises."""
        try:
            return self.look_at(place)
        except PhotoError as error:
            return error

    def _look_at_file(self, path: Path) -> LookedAt:
        try:
            self._check_length(_size(path))
            with path.open("rb") as handle:
                found = probe_photo(handle, self._max_pixels)
            return found, bytes.fromhex(sha256_file(path))
        except OSError as error:
            raise _of_system(error) from error

    def _read(self, place: Place) -> bytes:
        if is_url(place.path):
            return self._from_url(str(place.path), place)
        if place.offset is None:
            self._check_length(_size(place.path))
            return Path(place.path).read_bytes()
        self._check_length(place.length or 0)
        if place.path != self._path:
            self._close()
            _size(place.path)
            self._file, self._path = os.open(place.path, os.O_RDONLY | os.O_CLOEXEC), place.path
            self._block = memoryview(b"")
        first, length = place.offset - self._block_at, place.length or 0
        if not 0 <= first <= first + length <= len(self._block):
            self._block_at, first = place.offset, 0
            self._block = memoryview(os.pread(self._file, max(length, self._block_bytes), place.offset))
        return bytes(self._block[first : first + length])

    def _from_url(self, url: str, place: Place) -> bytes:
        try:
            self._check_length(file_size(url) if place.length is None else place.length)
            return read_range(url, place.offset, place.length)
        except PhotoError:
            raise
        except DataError as error:
            raise PhotoError("unreadable", str(error).replace("\n ", ";")) from error

    def _check_length(self, length: int) -> None:
        if length > MAX_BYTES_A_PIXEL * self._max_pixels:
            most = f"{MAX_BYTES_A_PIXEL * self._max_pixels} for {self._max_pixels} pixels"
            raise PhotoError("too_large", f"{length} bytes are more than {most}")

    def _close(self) -> None:
        if self._path is not None:
            os.close(self._file)
            self._path = None


def _size(path: Path | str) -> int:
    if printable(path) != str(path):
        raise PhotoError("bad_name", "its name is no UTF-8, so no table can hold it; rename it")
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise PhotoError("unreadable", "not a regular file")  # opening a pipe would wait for ever
    return found.st_size


def _joined(data: bytes) -> bytes:
    try:
        whole = recordio.payload(data)
        return whole[recordio.record(whole).start :]
    except DataError as error:
        raise PhotoError("unreadable", "the record that holds it is damaged") from error


def _of_system(error: OSError) -> PhotoError:
    return PhotoError("unreadable", f"the operating system says: {error.strerror or error}")
