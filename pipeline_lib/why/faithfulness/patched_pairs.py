"""Patch-LFW's rule for any pair: squares of another face in one of the two, so that it is known what leads a network astray."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.geometry import FACE_PX

NUM_SQUARES, SQUARE_PX = 27, 16
Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


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
        squares: bool (112, 112), see draw_squares.

    Huber et al. (papers/xssab.md), section 4.2.
    """
    original, partner = images
    patched = np.where(squares[..., None], source, original)
    return PatchedPair(np.stack([patched, partner]), original, (patched != original).any(axis=2))


def draw_squares(rng: np.random.Generator) -> Mask:
    """bool (112, 112): inside one of 27 squares of 16 px, whose places are drawn uniformly; they may overlap, and lie inside."""
    squares = np.zeros((FACE_PX, FACE_PX), bool)
    for top, left in rng.integers(FACE_PX - SQUARE_PX + 1, size=(NUM_SQUARES, 2)):
        squares[top : top + SQUARE_PX, left : left + SQUARE_PX] = True
    return squares


def draw_stranger(identities: npt.NDArray[Any], identity: str, rng: np.random.Generator) -> int:
    """The place of an image of somebody else, drawn uniformly among those.

    Args:
        identities: texts (N,), who is on each image; two people at least.
        identity: who must not be on it.
    """
    others = np.flatnonzero(identities != identity)
    return int(others[rng.integers(len(others))])
