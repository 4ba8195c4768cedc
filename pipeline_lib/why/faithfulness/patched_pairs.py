"""Patch-LFW's rule for any pair: squares of another face in one of the two, so that it is known what leads a network astray."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline_lib.data.patches.squares import Mask, swapped

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class PatchedPair:
    """A pair whose image A has squares of another face.

    Attributes:
        images: uint8 (2, 112, 112, 3), A with its squares, and B as it is.
        original: uint8 (112, 112, 3), A without them.
        changed: bool (112, 112), where A with and without them differ in any channel.
    """

    images: Image
    original: Image
    changed: Mask


def patched_pair(images: Image, source: Image, squares: Mask) -> PatchedPair:
    """Give image A the pixels of `source` within `squares`, each at its own place.

    Args:
        images: uint8 (2, 112, 112, 3): A and B.
        source: uint8 (112, 112, 3): another person's face for a genuine pair, image B itself for an impostor pair.
        squares: bool (112, 112), see data.patches.squares.

    Huber et al. (papers/xssab.md), section 4.2.
    """
    original, partner = images
    patched, changed = swapped(original, source, squares)
    return PatchedPair(np.stack([patched, partner]), original, changed)
