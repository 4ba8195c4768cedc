"""Photograph files: their size without decoding them, and their pixels as upright 8-bit RGB; hostile files are refused."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.photos.jpeg_header import plain_size

REASONS = ("empty", "not_an_image", "unreadable", "truncated", "too_large", "bad_name")
FORMATS = "JPEG, PNG, WebP, BMP, TIFF, PGM/PPM"
EXIF_ORIENTATION = 0x0112
# Transparent pixels become this grey, which the networks see as 0 (they take (v - 127.5) / 127.5) like padding: white or black
# would draw a contour that the photograph has not, and the colour stored under full transparency is arbitrary.
BACKGROUND = (128, 128, 128)
# What Pillow's decoders raise on damaged bytes; anything else is our own bug and must surface.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
)
JPEG_MAGIC = b"\xff\xd8\xff"
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


class PhotoError(DataError):
    """A photograph that cannot be used; `reason` is one of REASONS (the rejects table's word), `detail` says it for people.

    Neither repeats what the file holds, as Pillow's messages do (a header's bytes): the file may be no photograph but
    somebody's secret, and the message goes to who asked a served model.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"A photograph cannot be used ({reason}): {detail}")
        self.reason, self.detail = reason, detail

    def __reduce__(self) -> tuple[type["PhotoError"], tuple[str, str]]:
        """Pickle by (reason, detail): Dask brings the error back from its workers."""
        return type(self), (self.reason, self.detail)


@dataclass(frozen=True)
class Probe:
    """Width and height in px of the upright photograph (EXIF orientation applied), as its header states them."""

    width: int
    height: int


def probe_photo(handle: IO[bytes], max_pixels: int) -> Probe:
    """Read a photograph's size from its header; that its pixels are whole, only decode_photo can say.

    Args:
        handle: a file opened for reading, at its begin.
        max_pixels: see decode_photo.

    Raises:
        PhotoError: empty, not_an_image, truncated (inside the header), too_large (more than `max_pixels`).
        OSError: it cannot be read.
    """
    exif_at_end = _png_text_follows_pixels(handle)
    handle.seek(0)
    image = _open_header(handle, max_pixels)
    width, height = image.size
    # A PNG's own getexif decodes the pixels to get at what follows them; the base class's takes what the header had.
    exif = image.getexif if exif_at_end else partial(Image.Image.getexif, image)
    return Probe(height, width) if _orientation(exif) >= 5 else Probe(width, height)


def probe_bytes(data: bytes, max_pixels: int) -> Probe:
    """As probe_photo, of all of a photograph's bytes."""
    if data.startswith(JPEG_MAGIC) and (plain := plain_size(data)):
        return Probe(*_allowed(*plain, max_pixels))
    return probe_photo(io.BytesIO(data), max_pixels)


def decode_photo(data: bytes, max_pixels: int) -> npt.NDArray[np.uint8]:
    """Decode a photograph's bytes to upright RGB.

    EXIF orientation is applied (an unreadable EXIF block counts as none). Grey and palette pictures become RGB; 16-bit samples
    keep their high byte (v >> 8), which is what Pillow does with 16-bit colour; CMYK goes through Pillow's conversion
    (JPEGs taken as inverted, as Adobe writes them); transparency is composited on mid-grey. Of several frames the first is
    taken. Embedded colour profiles are not applied, in CMYK neither, so such colours are near, not exact.

    Args:
        data: the file's bytes (JPEG, PNG, WebP, BMP, TIFF, PGM/PPM).
        max_pixels: width * height above which the header alone refuses it, so nothing of that size is ever allocated.

    Returns:
        uint8 (H, W, 3), contiguous.

    Raises:
        PhotoError: empty, not_an_image, unreadable (damaged, or samples without a stated range), truncated, too_large.
    """
    return _decoded(data, max_pixels, _rgb_array)


def decode_cutout(data: bytes, max_pixels: int) -> npt.NDArray[np.uint8]:
    """Decode a picture that is to be laid on another one, with its transparency: uint8 RGBA (H, W, 4), contiguous.

    Args and errors as of decode_photo; a picture without transparency is opaque everywhere.
    """
    return _decoded(data, max_pixels, lambda image: np.asarray(image.convert("RGBA")))


def _decoded(
    data: bytes, max_pixels: int, as_array: Callable[[ImageFile.ImageFile], npt.NDArray[np.uint8]]
) -> npt.NDArray[np.uint8]:
    image = _open_header(io.BytesIO(data), max_pixels)
    try:
        image.load()
        pixels = as_array(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PhotoError("too_large", "it decodes to more pixels than its header states") from error
    except DAMAGE as error:
        cut = isinstance(error, EOFError) or any(
            word in str(error).lower() for word in ("truncated", "enough", "unrecognized data")
        )
        if cut or _tiff_ends_early(image, data):
            raise PhotoError("truncated", "its pixels end early") from error
        raise PhotoError("unreadable", "its pixels are damaged") from error
    return np.ascontiguousarray(_UPRIGHT[_orientation(image.getexif)](pixels))


def _open_header(handle: IO[bytes], max_pixels: int) -> ImageFile.ImageFile:
    # Image.open would apply Pillow's own pixel limits, a process-wide setting, before ours; its plugins do not.
    prefix = handle.read(16)
    if not prefix:
        raise PhotoError("empty", "the file has no bytes")
    handle.seek(0)
    plugin, magic_is_strong = _plugin(prefix)
    try:
        image = plugin(handle, None)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:  # WebP's plugin asks by itself
        raise PhotoError("too_large", "its header states more pixels than a photograph has") from error
    except DAMAGE as error:
        if str(error).startswith(("cannot handle", "unknown")):
            raise PhotoError("unreadable", "its header states a kind of pixels that is not supported") from error
        reason = "truncated" if magic_is_strong else "not_an_image"
        raise PhotoError(reason, "its header ends early or is damaged") from error
    _allowed(*image.size, max_pixels)
    return image


def _allowed(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    if width * height > max_pixels:
        raise PhotoError("too_large", f"{width}x{height} px are more than {max_pixels} pixels")
    return width, height


def _plugin(prefix: bytes) -> tuple[Callable[[IO[bytes], None], ImageFile.ImageFile], bool]:
    if prefix.startswith(JPEG_MAGIC):
        return JpegImageFile, True
    if prefix.startswith(PNG_MAGIC):
        return PngImageFile, True
    if prefix[:4] == b"RIFF" and prefix[8:12] == b"WEBP":
        return WebPImageFile, True
    if prefix[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return TiffImageFile, True
    if prefix.startswith(b"BM"):
        return BmpImageFile, False  # two letters also begin a text
    if prefix[:1] == b"P" and prefix[1:2] in b"123456" and prefix[2:3].isspace():
        return PpmImageFile, False
    raise PhotoError("not_an_image", f"it starts as none of the formats that are readable: {FORMATS}")


def _png_text_follows_pixels(handle: IO[bytes]) -> bool:
    if handle.read(8) != PNG_MAGIC:
        return False
    pixels_passed = False
    while len(head := handle.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        pixels_passed |= kind == b"IDAT"
        if pixels_passed and kind in (b"eXIf", b"iTXt", b"tEXt", b"zTXt"):  # text chunks may hold EXIF or XMP as well
            return True
        handle.seek(length + 4, io.SEEK_CUR)
    return False


def _orientation(read_exif: Callable[[], Image.Exif]) -> int:
    try:
        value = read_exif().get(EXIF_ORIENTATION, 1)
    except DAMAGE:
        return 1  # the pixels may be whole though the EXIF block is not
    return value if isinstance(value, int) and value in _UPRIGHT else 1


def _rgb_array(image: ImageFile.ImageFile) -> npt.NDArray[np.uint8]:
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):  # Pillow scales PGM to 0..65535
        grey = (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("I", "F"):
        problem = f"32-bit samples (mode {image.mode}) have no stated range; save the photograph with 8 or 16 bits"
        raise PhotoError("unreadable", problem)
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        ground = Image.new("RGBA", picture.size, (*BACKGROUND, 255))
        return np.asarray(Image.alpha_composite(ground, picture).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def _tiff_ends_early(image: ImageFile.ImageFile, data: bytes) -> bool:
    # libtiff reports a number only; the strips' offsets and sizes say whether the file is as long as it must be.
    if not isinstance(image, TiffImageFile):
        return False
    offsets, counts = (image.tag_v2.get(tag, ()) for tag in (273, 279))
    return any(offset + count > len(data) for offset, count in zip(offsets, counts, strict=False))


# EXIF 2.32, tag 274: what to do with rows and columns so that the picture stands upright.
_UPRIGHT: dict[int, Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]] = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p, 1),
}
