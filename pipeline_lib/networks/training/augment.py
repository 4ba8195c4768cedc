"""How the samples of a batch are mirrored and shifted this time, all at once."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pipeline_lib.data.shards.shuffle import mixed

Images = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # SplitMix64's step
LOW_31 = np.uint64(2**31 - 1)


class Square(NamedTuple):
    """A square of an image, in px; (x, y) is its top-left corner."""

    size_px: int
    x: int
    y: int


def drawn_augmentation(samples: npt.ArrayLike, shift_px: int, seed: int, epoch: int) -> tuple[Ints, Ints, Ints]:
    """Whether samples are mirrored this time (0 or 1), and their shifts in x and y, uniform in -shift_px .. shift_px.

    A sample's 64 random bits are number `sample` of a SplitMix64 stream that seed and epoch begin: they depend on nothing else.

    Args:
        samples: int, any shape, from 0.
        shift_px: from 0.
        seed, epoch: any integer, and one from 0.

    Returns:
        Three arrays int64 of the samples' shape.
    """
    stream = mixed(mixed(np.array([seed % 2**64], np.uint64)) + np.uint64(epoch))
    numbers = np.asarray(samples, np.uint64)
    bits = mixed(stream + GOLDEN * np.atleast_1d(numbers)).reshape(numbers.shape)
    span = np.uint64(2 * shift_px + 1)
    shifts = (((bits >> np.uint64(first)) & LOW_31) * span >> np.uint64(31) for first in (0, 31))
    shift_x, shift_y = (shift.astype(np.int64) - shift_px for shift in shifts)
    return (bits >> np.uint64(63)).astype(np.int64), shift_x, shift_y


def shifted_squares(
    images: Sequence[Images],
    square: Square,
    mirrored: npt.NDArray[np.integer],
    shift_x: npt.NDArray[np.integer],
    shift_y: npt.NDArray[np.integer],
) -> Images:
    """A square of each image, the image mirrored or not and then moved; beyond the border its pixels repeat.

        out[b, i, j] = I_b[clip(y + shift_y[b] + i), clip(x + shift_x[b] + j)],   I_b the image, or its mirror image

    Mirroring moves the face, not the shift: a mirrored face shifts as if it had been stored mirrored. What is cut
    where it lies in the stored image, and mirrored afterwards, the whole batch at once, is the same.

    Args:
        images: B of uint8 (H,W,3), of one size.
        square: inside the image.
        mirrored: (B,), 0 or 1.
        shift_x, shift_y: (B,), in px.

    Returns:
        uint8 (B,S,S,3).
    """
    size, (height, width) = square.size_px, images[0].shape[:2]
    right, down = np.asarray(shift_x), np.asarray(shift_y)
    lefts = np.where(mirrored, width - size - square.x - right, square.x + right).tolist()
    tops = (square.y + down).tolist()
    out = np.empty((len(images), size, size, 3), np.uint8)
    for image, left, top, place in zip(images, lefts, tops, out, strict=True):
        first_row, end_row = _inside(top, size, height)
        first_column, end_column = _inside(left, size, width)
        above, before = min(first_row - top, size - 1) if top < 0 else 0, min(-left, size - 1) if left < 0 else 0
        cv2.copyMakeBorder(
            image[first_row:end_row, first_column:end_column],
            above,
            size - above - (end_row - first_row),
            before,
            size - before - (end_column - first_column),
            cv2.BORDER_REPLICATE,
            dst=place,
        )
    turned = np.flatnonzero(mirrored)
    if len(turned):
        rows = out[turned].reshape(-1, size, 3)
        out[turned] = cv2.flip(rows, 1).reshape(-1, size, size, 3)
    return out


def _inside(first: int, size: int, length: int) -> tuple[int, int]:
    """What of first .. first + size lies in 0 .. length, or the nearest one of these."""
    return min(max(first, 0), length - 1), min(max(first + size, 1), length)
