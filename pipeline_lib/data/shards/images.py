"""Images as the bytes of a shard member and back: PNG, which keeps every pixel, or JPEG, a third as long."""

from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from pipeline_lib.core.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["png", "jpeg"]
MEMBERS = {"png": "png", "jpeg": "jpg"}  # what a format's members are called, after the key's dot
JPEG_QUALITY, JPEG_SUBSAMPLING = 95, "444"  # 4:4:4: colours at every pixel, as a face of 112 px needs them
# Level 1: about a tenth larger than level 6 on aligned faces, several times faster.
PNG_OPTIONS = [cv2.IMWRITE_PNG_COMPRESSION, 1]
PNG_START, JPEG_START = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
MAX_PIXELS = 2**24  # of a member; a header may state any size, and decoding takes memory for it


def encode_image(image: npt.NDArray[np.uint8], format: Format) -> bytes:
    """Encode uint8 RGB (H, W, 3); the same pixels give the same bytes (no time stamp, fixed settings).

    Args:
        image: as encode_png takes it.
        format: png, or jpeg of quality 95 without chroma subsampling.

    Raises:
        ValueError: another dtype or shape, or no pixels.
    """
    if format == "png":
        return encode_png(image)
    pixels = np.ascontiguousarray(_checked(image))
    return bytes(simplejpeg.encode_jpeg(pixels, JPEG_QUALITY, "RGB", JPEG_SUBSAMPLING))


def encode_png(image: npt.NDArray[np.uint8]) -> bytes:
    """Encode uint8 RGB (H, W, 3) as PNG, also for pages and reports; raises as encode_image."""
    done, data = cv2.imencode(".png", _checked(image)[:, :, ::-1], PNG_OPTIONS)
    if not done:
        raise ValueError(f"OpenCV could not encode an image of shape {image.shape}")
    return data.tobytes()


def decode_image(data: bytes) -> npt.NDArray[np.uint8]:
    """Decode a shard's image, PNG or JPEG as its first bytes say, to uint8 RGB (H, W, 3).

    Raises:
        DataError: the bytes are no such image, a truncated one, or one of more than MAX_PIXELS.
    """
    image = None
    if data.startswith(PNG_START):
        _check_size(int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big"))
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    elif data.startswith(JPEG_START):
        try:
            _check_size(*simplejpeg.decode_jpeg_header(data)[:2])
            image = simplejpeg.decode_jpeg(data, "RGB")
        except ValueError:
            image = None
    if image is None:
        raise DataError("A shard member is no image.", got=f"{len(data)} bytes beginning {data[:8]!r}")
    return image  # type: ignore[no-any-return]


def member_of(data: bytes) -> str:
    """The name of the member that an encoded image becomes: png or jpg."""
    return MEMBERS["png" if data.startswith(PNG_START) else "jpeg"]


def is_image(index: "pa.Table", name: str = "") -> "pa.ChunkedArray":
    """Which rows of a shard index are images: bool, one a row.

    Args:
        index: rows of schemas.shard_index.SHARD_INDEX.
        name: of the images where a sample has several (patch, mirror), without its ending.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    members = [f"{name}.{ending}" if name else ending for ending in MEMBERS.values()]
    return pc.is_in(index["member"], value_set=pa.array(members, pa.string()))


def _checked(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"an image is uint8 (H, W, 3), got {image.dtype} {image.shape}")
    return image


def _check_size(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise DataError("A shard member is too large an image.", got=f"{width}x{height}", allowed=f"{MAX_PIXELS} px")
