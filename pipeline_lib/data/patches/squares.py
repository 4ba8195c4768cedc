"""Patch-LFW's squares: which pixels of a face come from another one, and from whose."""

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.geometry import FACE_PX

NUM_SQUARES, SQUARE_PX = 27, 16
Mask = npt.NDArray[np.bool_]


def draw_squares(rng: np.random.Generator) -> Mask:
    """bool (112, 112): inside one of 27 squares of 16 px, whose places are drawn uniformly; they may overlap, and lie inside.

    Huber et al. (papers/xssab.md), section 4.2.
    """
    squares = np.zeros((FACE_PX, FACE_PX), bool)
    for top, left in rng.integers(FACE_PX - SQUARE_PX + 1, size=(NUM_SQUARES, 2)):
        squares[top : top + SQUARE_PX, left : left + SQUARE_PX] = True
    return squares


def draw_stranger(identities: npt.NDArray[Any], identity: Any, rng: np.random.Generator) -> int:
    """The place of an image of somebody else, drawn uniformly among those.

    Args:
        identities: (N,) texts or numbers, who is on each image; two people at least.
        identity: who must not be on it.
    """
    others = np.flatnonzero(identities != identity)
    return int(others[rng.integers(len(others))])


def swapped(
    image: npt.NDArray[np.uint8], source: npt.NDArray[np.uint8], squares: Mask
) -> tuple[npt.NDArray[np.uint8], Mask]:
    """`image` with the pixels of `source` within `squares`, each at its own place, and where that changed any channel.

    Args:
        image, source: uint8 (112, 112, 3).
        squares: bool (112, 112).

    Returns:
        uint8 (112, 112, 3), bool (112, 112).
    """
    patched = np.where(squares[..., None], source, image)
    return patched, (patched != image).any(axis=2)
