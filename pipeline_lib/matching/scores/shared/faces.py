"""What a pair score compares: faces in arrays, and which arrays a score needs."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.cosine import Floats
from pipeline_lib.core.errors import DataError

A = TypeVar("A", bound=npt.NDArray[np.generic])


@dataclass(frozen=True)
class Needs:
    """Which of the arrays of Faces a score reads, and what they are of.

    Attributes:
        network: Faces.vectors are this network's embeddings, not normalised.
        with_patches: Faces.patches are the same network's patch features.
        side_by_side: Faces.vectors are the embeddings of these networks, each of unit length, in this order in one row; then
            network is None.
        positions: Faces.patches are the features of these regions' networks, in this order; then network is None.
        pixels: Faces.pixels are the aligned images.
    """

    network: str | None = None
    with_patches: bool = False
    side_by_side: tuple[str, ...] = ()
    positions: tuple[str, ...] = ()
    pixels: bool = False


@dataclass(frozen=True)
class Faces:
    """N faces, each an image or a template of many; None for what nobody needs.

    Attributes:
        vectors: float32 (N, D).
        patches: float32 (N, K, C).
        pixels: uint8 (N, 112, 112, 3), RGB.
    """

    vectors: Floats | None = None
    patches: Floats | None = None
    pixels: npt.NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return next((len(array) for array in (self.vectors, self.patches, self.pixels) if array is not None), 0)

    def take(self, rows: npt.NDArray[np.int64]) -> "Faces":
        """The faces `rows`, in that order."""
        return Faces(
            None if self.vectors is None else self.vectors[rows],
            None if self.patches is None else self.patches[rows],
            None if self.pixels is None else self.pixels[rows],
        )


def given(array: A | None) -> A:
    """An array of Faces that Needs asked for; raises DataError where it is None."""
    if array is None:
        raise DataError("Faces lack what their score needs.", allowed="the arrays that the scorer's needs name")
    return array
