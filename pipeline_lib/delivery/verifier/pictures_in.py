"""What a row of the verifier's input may hold: bytes, a path, base64 or a data: URL, all brought to a file's bytes."""

import base64
import binascii
from pathlib import Path

from pipeline_lib.data.photos.photo import MAX_BYTES_A_PIXEL, PhotoError

MAX_PATH_CHARACTERS = 4096
ALLOWED = "bytes, the path of an existing file, base64 text, or a data: URL with base64"


def read_picture(value: object, max_pixels: int) -> bytes:
    """The encoded photograph that `value` stands for.

    A text is tried as a data: URL, then as the path of an existing regular file, then as base64. A path is opened for
    reading and for nothing else; pipes and devices are not opened.

    Args:
        value: one cell of column image_a or image_b.
        max_pixels: files too long to be a picture of that many pixels are refused unread.

    Raises:
        PhotoError: not_an_image, unreadable or too_large; the message names what was given, shortened.
    """
    max_bytes = MAX_BYTES_A_PIXEL * max_pixels
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
    elif isinstance(value, Path):
        data = _read_file(value, max_bytes)
    elif isinstance(value, str):
        data = _from_text(value, max_bytes)
    else:
        raise PhotoError("not_an_image", f"a picture must be {ALLOWED}; got {type(value).__name__}")
    if len(data) > max_bytes:
        raise PhotoError("too_large", f"{len(data)} bytes; at most {max_bytes} are read")
    return data


def _from_text(text: str, max_bytes: int) -> bytes:
    if text.startswith("data:"):
        header, comma, body = text.partition(",")
        if not comma or not header.endswith(";base64"):
            raise PhotoError("not_an_image", f"a data: URL must be data:image/...;base64,...; got {_short(text)}")
        return _decoded(body, text)
    if len(text) <= MAX_PATH_CHARACTERS and _is_file(Path(text)):
        return _read_file(Path(text), max_bytes)
    if len(text) > 2 * max_bytes:
        raise PhotoError("too_large", f"{len(text)} characters of base64; at most {max_bytes} bytes are read")
    return _decoded(text, text)


def _decoded(body: str, given: str) -> bytes:
    try:
        data = base64.b64decode("".join(body.split()), validate=True)  # base64 often comes in lines
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        raise PhotoError(
            "not_an_image", f"neither an existing file nor base64; got {_short(given)}; allowed: {ALLOWED}"
        )
    return data


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long for a name, a zero byte: base64 or nonsense, no path
        return False


def _read_file(path: Path, max_bytes: int) -> bytes:
    if not _is_file(path):
        raise PhotoError("unreadable", f"there is no such file: {_short(str(path))}")
    try:
        if path.stat().st_size > max_bytes:
            raise PhotoError("too_large", f"{path.stat().st_size} bytes; at most {max_bytes} are read")
        return path.read_bytes()
    except OSError as error:
        raise PhotoError("unreadable", f"the operating system says: {error.strerror or error}") from error


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
