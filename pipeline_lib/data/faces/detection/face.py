"""What a detector finds, and what it offers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Face:
    """One detected face, in pixels of the photograph it was found in.

    Attributes:
        box: float32 (4,), x0 y0 x1 y1; may reach beyond the picture.
        score: the detector's own; see each detector for its range.
        landmarks: float32 (5, 2), x y of left eye, right eye, nose tip, left and right mouth corner, left and right as
            seen in the picture.
    """

    box: npt.NDArray[np.float32]
    score: float
    landmarks: npt.NDArray[np.float32]


class Detector(Protocol):
    """Finds the faces of a batch of photographs; several threads may ask one detector at once."""

    def detect(self, images: Sequence[Image]) -> list[list[Face]]:
        """All faces of each image, the highest score first; an image without faces gives an empty list.

        Args:
            images: uint8 RGB (H, W, 3), each of its own size, of at least one pixel.

        Raises:
            DataError: see check_images.
        """
        ...


def check_images(images: Sequence[Image]) -> None:
    """Whether detectors can look at them.

    Raises:
        DataError: one is not uint8 (H, W, 3), or has no pixels.
    """
    for image in images:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise DataError(
                "A detector cannot look at this picture.",
                got=f"{image.dtype} {image.shape}",
                allowed="uint8 (H, W, 3), of at least one pixel",
            )
