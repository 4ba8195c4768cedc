"""Where a photograph's bytes lie: in a file of their own, or within one that holds many."""

import hashlib
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import sha256_file
from pipeline_lib.data.photos import recordio
from pipeline_lib.data.photos.bad_entries import printable
from pipeline_lib.data.photos.photo import PhotoError, Probe, probe_photo

# An uncompressed TIFF with four 16-bit channels needs 8 bytes a pixel; a longer file holds more pixels than are allowed.
MAX_BYTES_A_PIXEL = 8


@dataclass(frozen=True, slots=True)
class Place:
    """A file, or `length` bytes from `offset` on of one that holds many photographs (RecordIO, tar, a pack).

    A range that begins with RecordIO's magic word, as no picture does, is a whole record in several parts.
    """

    path: Path
    offset: int | None = None
    length: int | None = None


def read_photo(place: Place, max_pixels: int) -> bytes:
    """A photograph's bytes; the file's kind, and how many they are, are looked at before anything is opened.

    Raises:
        PhotoError: unreadable, truncated (the file ends before the range), too_large (longer than any picture of
            `max_pixels`), or bad_name.
    """
    try:
        _check(place, max_pixels)
        if place.offset is None:
            return place.path.read_bytes()
        with place.path.open("rb", buffering=0) as handle:
            data = os.pread(handle.fileno(), place.length or 0, place.offset)
    except OSError as error:
        raise _of_system(error) from error
    if len(data) < (place.length or 0):
        raise PhotoError("truncated", "the file that holds it ends before it does")
    return _joined(data) if data.startswith(recordio.MAGIC) else data


def look_at(place: Place, max_pixels: int) -> tuple[Probe, str]:
    """A photograph's size by its header, and the hex SHA-256 of its bytes.

    Raises:
        PhotoError: see read_photo and probe_photo.
    """
    if place.offset is not None:
        data = read_photo(place, max_pixels)
        return probe_photo(io.BytesIO(data), max_pixels), hashlib.sha256(data).hexdigest()
    try:
        _check(place, max_pixels)
        with place.path.open("rb") as handle:
            found = probe_photo(handle, max_pixels)
        return found, sha256_file(place.path)
    except OSError as error:
        raise _of_system(error) from error


def _check(place: Place, max_pixels: int) -> None:
    if printable(place.path) != str(place.path):
        raise PhotoError("bad_name", "its name is no UTF-8, so no table can hold it; rename it")
    found = place.path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise PhotoError("unreadable", "not a regular file")  # opening a pipe would wait for ever
    length = found.st_size if place.length is None else place.length
    if length > MAX_BYTES_A_PIXEL * max_pixels:
        most = f"{MAX_BYTES_A_PIXEL * max_pixels} for {max_pixels} pixels"
        raise PhotoError("too_large", f"{length} bytes are more than {most}")


def _joined(data: bytes) -> bytes:
    try:
        whole = recordio.payload(data)
        return whole[recordio.record(whole).start :]
    except DataError as error:
        raise PhotoError("unreadable", "the record that holds it is damaged") from error


def _of_system(error: OSError) -> PhotoError:
    return PhotoError("unreadable", f"the operating system says: {error.strerror or error}")
