"""What a row of the verifier's input may hold: bytes, base64, a data: URL or, from Python, a path or pixels; all become bytes."""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from pipeline_lib.data.photos.photo import PhotoError
from pipeline_lib.data.photos.place import MAX_BYTES_A_PIXEL
from pipeline_lib.data.shards.images import encode_png

ALLOWED = "bytes, base64 text, a data: URL with base64, a pathlib.Path, a PIL image, or uint8 pixels (H, W, 3)"
URL_SAFE, USUAL = "-_", "+/"


@dataclass(frozen=True)
class Picture:
    """An encoded photograph, and the hex SHA-256 of its file; None where there was none, but pixels."""

    data: bytes
    sha256: str | None


def take_picture(value: object, max_pixels: int) -> Picture:
    """read_picture, with the digest of what came; raises as it."""
    data = read_picture(value, max_pixels)
    has_file = not isinstance(value, np.ndarray | Image.Image)
    return Picture(data, hashlib.sha256(data).hexdigest() if has_file else None)


def read_picture(value: object, max_pixels: int) -> bytes:
    """The encoded photograph that `value` stands for.

    A text is base64 or a data: URL and never a path: what a client of a served model sends is text, and must not open the
    server's files. Who calls from Python opens a file by a pathlib.Path, which no request can hold; it is opened for
    reading and for nothing else, and pipes and devices are not opened. Pixels become a PNG of these pixels.

    Args:
        value: one cell of column image_a or image_b, see ALLOWED; base64 may be of either alphabet.
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
    elif isinstance(value, Image.Image):
        data = _from_pil(value, max_pixels)
    elif isinstance(value, np.ndarray) and value.shape:
        data = _from_pixels(value, max_pixels)
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
        data = _decoded("".join(body.split()))  # base64 often comes in lines
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        problem = f"a text of {len(text)} characters that is not base64; a file is named by a pathlib.Path, from Python"
        raise PhotoError("not_an_image", f"{problem}; allowed: {ALLOWED}")
    return data


def _decoded(letters: str) -> bytes:
    """Of either alphabet, not of both: the one that is safe in URLs often comes without its padding."""
    if set(letters) & set(URL_SAFE) and not set(letters) & set(USUAL):
        letters = letters.translate(str.maketrans(URL_SAFE, USUAL)) + "=" * (-len(letters) % 4)
    return base64.b64decode(letters, validate=True)


def _from_pil(image: Image.Image, max_pixels: int) -> bytes:
    if image.width * image.height > max_pixels:
        raise PhotoError("too_large", f"{image.width}x{image.height} px are more than {max_pixels} pixels")
    try:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError) as error:
        raise PhotoError("unreadable", "its pixels are damaged") from error
    return _from_pixels(np.asarray(upright), max_pixels)


def _from_pixels(pixels: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]", max_pixels: int) -> bytes:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise PhotoError("not_an_image", f"pixels must be uint8 RGB (H, W, 3); got {pixels.dtype} {pixels.shape}")
    if pixels.shape[0] * pixels.shape[1] > max_pixels:
        raise PhotoError("too_large", f"{pixels.shape[1]}x{pixels.shape[0]} px are more than {max_pixels} pixels")
    return encode_png(pixels.astype(np.uint8, copy=False))


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
