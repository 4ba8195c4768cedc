"""PNG members: exact pixels, the same bytes."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.shards.images import decode_png, encode_png


@pytest.mark.parametrize("shape", [(112, 112, 3), (1, 1, 3), (38, 66, 3)])
def test_pixels_come_back_exactly_and_pillow_agrees_on_the_channels(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    data = encode_png(image)
    assert np.array_equal(decode_png(data), image)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), image)
    assert encode_png(image.copy()) == data


def test_a_mirrored_view_is_encoded_as_seen():
    image = np.random.default_rng(0).integers(0, 256, (9, 5, 3), dtype=np.uint8)
    assert encode_png(image[:, ::-1]) == encode_png(np.ascontiguousarray(image[:, ::-1]))


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"hello", bytes(500)])
def test_what_is_no_image_is_refused(data):
    with pytest.raises(DataError, match="no image"):
        decode_png(data)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
    ],
)
def test_only_uint8_rgb_is_encoded(image):
    with pytest.raises(ValueError, match="uint8"):
        encode_png(image)


def test_no_truncation_gives_half_a_picture():
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    data = encode_png(image)
    for length in [*range(0, len(data), 3001), len(data) - 12, len(data) - 1]:
        with pytest.raises(DataError, match="no image"):
            decode_png(data[:length])
