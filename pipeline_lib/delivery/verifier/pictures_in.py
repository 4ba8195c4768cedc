"""What a row of the verifier's input may hold: bytes, base64, a data: URL or, from Python, a path; all become bytes."""

import base64
import binascii
from pathlib import Path

from pipeline_lib.data.photos.photo import PhotoError
from pipeline_lib.data.photos.place import MAX_BYTES_A_PIXEL

ALLOWED = "bytes, base64 text, a data: URL with base64, or a pathlib.Path"


def read_picture(value: object, max_pixels: int) -> bytes:
    """The encoded photograph that `value` stands for.

    A text is base64 or a data: URL and never a path: what a client of a served model sends is text, and must not open the
    server's files. Who calls from Python opens a file by a pathlib.Path, which no request can hold; it is opened for
    reading and for nothing else, and pipes and devices are not opened.

    Args:
        value: one cell of column image_a or image_b.
        max_pixels: files too long to be a picture of that many pixels are refused unread.

    Raises:
        PhotoError: not_an_image, unreadable or too_large; the message repeats nothing of a text or of a file.
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
            raise PhotoError("not_an_image", "a data: URL must be data:image/...;base64,...")
    else:
        body = text
    if len(body) > 2 * max_bytes:
        raise PhotoError("too_large", f"{len(body)} characters of base64; at most {max_bytes} bytes are read")
    try:
        data = base64.b64decode("".join(body.split()), validate=True)  # base64 often comes in lines
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        problem = f"a text of {len(text)} characters that is not base64; a file is named by a pathlib.Path, from Python"
        raise PhotoError("not_an_image", f"{problem}; allowed: {ALLOWED}")
    return data


def _read_file(path: Path, max_bytes: int) -> bytes:
    try:
        if not path.is_file():
            raise PhotoError("unreadable", f"there is no such file: {_short(str(path))}")
        if path.stat().st_size > max_bytes:
            raise PhotoError("too_large", f"{path.stat().st_size} bytes; at most {max_bytes} are read")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise PhotoError("unreadable", f"{_short(str(path))}: {getattr(error, 'strerror', None) or error}") from error


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
