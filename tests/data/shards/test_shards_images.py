"""Members of shards: PNG keeps pixels, JPEG nearly; the same bytes each time; what is no image is refused."""

import io
import struct
import zlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.shards.images import decode_image, encode_image, encode_png, is_image, member_of

FORMATS = ("png", "jpeg")


def smooth(shape: tuple[int, int, int]) -> np.ndarray:
    """An image of few frequencies, as faces are."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    waves = [np.sin(rows / 9 + k) + np.cos(columns / (7 + k)) for k in range(3)]
    return np.uint8(127 + 60 * np.stack(waves, axis=2))


@pytest.mark.parametrize("shape", [(112, 112, 3), (1, 1, 3), (38, 66, 3)])
def test_pixels_come_back_exactly_and_pillow_agrees_on_the_channels(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    data = encode_png(image)
    assert encode_image(image, "png") == data
    assert np.array_equal(decode_image(data), image)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), image)
    assert encode_png(image.copy()) == data


@pytest.mark.parametrize("shape", [(112, 112, 3), (1, 1, 3), (38, 66, 3)])
def test_a_jpeg_is_near_its_image_keeps_colour_at_every_pixel_and_is_read_as_pillow_does(shape):
    image = smooth(shape)
    data = encode_image(image, "jpeg")
    found = decode_image(data)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - image).max() <= 6
    opened = Image.open(io.BytesIO(data))
    assert opened.mode == "RGB"
    assert {(a, b) for _, a, b, _ in opened.layer} == {(1, 1)}  # 4:4:4
    # Both are libjpeg-turbo, of another version: an inverse DCT may round a value another way.
    assert np.abs(found.astype(int) - np.asarray(opened)).max() <= 2
    assert encode_image(image.copy(), "jpeg") == data


@pytest.mark.parametrize("format", FORMATS)
def test_a_mirrored_view_is_encoded_as_seen(format):
    image = np.random.default_rng(0).integers(0, 256, (9, 5, 3), dtype=np.uint8)
    assert encode_image(image[:, ::-1], format) == encode_image(np.ascontiguousarray(image[:, ::-1]), format)


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0", b"hello", bytes(500)]
)
def test_what_is_no_image_is_refused(data):
    with pytest.raises(DataError, match="no image"):
        decode_image(data)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
    ],
)
def test_only_uint8_rgb_is_encoded(image, format):
    with pytest.raises(ValueError, match="uint8"):
        encode_image(image, format)


@pytest.mark.parametrize("format", FORMATS)
def test_no_truncation_gives_half_a_picture(format):
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    data = encode_image(image, format)
    for length in [*range(0, len(data), 3001), len(data) - 12, len(data) - 1]:
        with pytest.raises(DataError, match="no image"):
            decode_image(data[:length])


@given(st.sampled_from(FORMATS), st.integers(0, 10_000), st.integers(0, 255))
def test_a_flipped_byte_gives_an_image_or_a_named_error(format, place, value):
    data = bytearray(encode_image(smooth((30, 20, 3)), format))
    data[place % len(data)] = value
    try:
        found = decode_image(bytes(data))
    except DataError:
        return
    assert found.dtype == np.uint8
    assert found.ndim == 3


def test_a_size_that_would_fill_the_memory_is_refused_before_it_is_decoded():
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    jpeg = bytearray(encode_image(smooth((16, 16, 3)), "jpeg"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 60_000, 60_000)
    for data in (bomb, bytes(jpeg)):
        with pytest.raises(DataError, match="too large"):
            decode_image(data)


def test_members_are_named_by_their_format_and_found_in_an_index():
    image = smooth((8, 8, 3))
    assert [member_of(encode_image(image, format)) for format in FORMATS] == ["png", "jpg"]
    index = pa.table({"member": ["json", "png", "jpg", "patch.png", "mirror.jpg", "patch.json"]})
    assert is_image(index).to_pylist() == [False, True, True, False, False, False]
    assert is_image(index, "patch").to_pylist() == [False, False, False, True, False, False]
    assert is_image(index, "mirror").to_pylist() == [False, False, False, False, True, False]
