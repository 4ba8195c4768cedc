"""Patches cut from images: batches for a network, single regions with a margin for the shards."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline_lib.data.patches.grid import Region

if TYPE_CHECKING:
    import torch


def cut_patches(images: "torch.Tensor", positions: npt.NDArray[np.int64], size_px: int) -> "torch.Tensor":
    """Cut the same K squares from every image of a batch (RRFNet section III-B).

        out[b, k, c, i, j] = images[b, c, y_k + i, x_k + j]

    Args:
        images: (B, C, H, W), any dtype, device and memory format.
        positions: int64 (K, 2), x and y of the top-left corners; on the host, so that cutting waits for no device.
        size_px: s, the side of the squares.

    Returns:
        (B, K, C, s, s), a copy of the images' dtype; gradients flow.

    Raises:
        ValueError: no positions, or a square leaves the image.
    """
    import torch

    height, width = images.shape[2:]
    corners = positions.tolist()
    outside = [(x, y) for x, y in corners if not (0 <= x <= width - size_px and 0 <= y <= height - size_px)]
    if outside or not corners:
        raise ValueError(f"{size_px} px squares at {outside or 'no position'} in images of {width}x{height}")
    return torch.stack([images[:, :, y : y + size_px, x : x + size_px] for x, y in corners], dim=1)


def cut_region(image: npt.NDArray[np.uint8], region: Region, margin_px: int) -> npt.NDArray[np.uint8]:
    """Cut a region with a margin all around it, for the random shifts of training (RRFNet section III-A: +-5 px).

    Where the margin leaves the image, the nearest pixel of the border is repeated: a shifted patch at the border then
    has no black bar, whose width would tell the network the shift and which occurs in no patch at inference.

    Args:
        image: uint8 (112, 112, 3).
        region: the square.
        margin_px: m >= 0, pixels added on each side.

    Returns:
        uint8 (s + 2m, s + 2m, 3), a copy.
    """
    height, width = image.shape[:2]
    reach = np.arange(-margin_px, region.size_px + margin_px)
    rows = np.clip(region.y + reach, 0, height - 1)
    columns = np.clip(region.x + reach, 0, width - 1)
    return image[rows[:, None], columns[None, :]]
