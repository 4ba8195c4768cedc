"""Photographs of near sizes in one forward pass of RetinaFace, without one seeing what the others' sizes added to it."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline_lib.data.faces.detection.face import Image
from pipeline_lib.data.faces.detection.retinaface_network import ANCHORS_PER_CELL, STRIDES

MAX_BATCH_PX = 1 << 20  # pixels of one forward pass (16 of LFW's 250x250), which bounds the memory
MAX_PADDED = 1.25  # a batch has at most this many times the pixels of its photographs


def batches(shapes: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Which photographs go through the network together, near sizes side by side; every index once.

    Args:
        shapes: height and width of each, px.
    """

    def likeness(index: int) -> tuple[int, int, int, int]:
        height, width = shapes[index]
        return round(4 * math.log2(width / height)), height, width, index

    made: list[list[int]] = []
    for index in sorted(range(len(shapes)), key=likeness):
        if made and _fit([shapes[i] for i in (*made[-1], index)]):
            made[-1].append(index)
        else:
            made.append([index])
    return made


def _fit(shapes: Sequence[tuple[int, int]]) -> bool:
    padded = len(shapes) * max(height for height, _ in shapes) * max(width for _, width in shapes)
    return padded <= min(MAX_BATCH_PX, MAX_PADDED * sum(height * width for height, width in shapes))


def on_canvas(images: Sequence[Image]) -> npt.NDArray[np.uint8]:
    """Pictures in the upper left corners of equal ones, uint8 (B, H, W, 3), H and W the largest height and width."""
    canvas = np.zeros((len(images), *(max(image.shape[axis] for image in images) for axis in (0, 1)), 3), np.uint8)
    for place, image in zip(canvas, images, strict=True):
        place[: image.shape[0], : image.shape[1]] = image
    return canvas


class Inside:
    """Sets to zero what lies beyond each picture of a batch, in the input and in every map that is convolved.

    A convolution pads a map with zeros; beyond a padded picture's edge a map holds biases instead. With these zero again before
    each convolution wider than 1x1, every number within the picture is the one that the picture alone gives: all strides are 2
    with a padding that leaves ceil(side / 2) cells, and the pyramid's enlargement reads cell floor(i / 2) whatever the side.

    Args:
        shapes: height and width of each picture, px.
        device: of the maps.
    """

    def __init__(self, shapes: Sequence[tuple[int, int]], device: str = "cpu") -> None:
        sides = torch.tensor(shapes, device=device)
        whole = (max(height for height, _ in shapes), max(width for _, width in shapes))
        self._is_padded = len(set(shapes)) > 1
        self._masks: list[Tensor] = []
        for _ in range(int(math.log2(STRIDES[-1])) + 1):
            rows, columns = (
                torch.arange(most, device=device) < sides[:, axis, None] for axis, most in enumerate(whole)
            )
            self._masks.append((rows[:, :, None] & columns[:, None, :])[:, None].float())
            sides, whole = (sides + 1) // 2, ((whole[0] + 1) // 2, (whole[1] + 1) // 2)

    def __call__(self, x: Tensor) -> Tensor:
        """A map (B, C, h, w) at a stride of 1, 2, ..., 32, changed in place."""
        if not self._is_padded:
            return x
        # Two levels are of one size only where it is 1x1, in which every picture has its pixel.
        return x.mul_(next(mask for mask in self._masks if mask.shape[2:] == x.shape[2:]))

    def anchors(self) -> Tensor:
        """Which anchors are of the picture: float32 (B, A), 1 or 0, in the order of the network's outputs."""
        levels = [self._masks[int(math.log2(stride))].flatten(1) for stride in STRIDES]
        return torch.cat(levels, dim=1).repeat_interleave(ANCHORS_PER_CELL, dim=1)
