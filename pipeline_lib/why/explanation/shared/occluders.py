"""Black squares laid over a face one at a time: where they lie, and the faces under them, a batch at a time."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.geometry import FACE_PX

SIDES_PX = (7, 14, 28)  # xFace's patch sizes and stride (Knoche et al.; xSSAB, section 4.4)
STRIDE_PX = 5
BLACK = -1.0  # 0 in 8-bit pixels, in network space

Squares = npt.NDArray[np.int64]  # (N, 4), x y w h px with w = h, as in FaceNetwork.grid
Floats = npt.NDArray[np.float32]


def occluders() -> Squares:
    """All squares of all sides, row by row, from the top left: 21² of 7 px, 20² of 14 px and 17² of 28 px, together
    1,130.

    A square starts at 0, 5, ... below 112 - side, as in the public code: none touches the right or the lower border,
    whose last pixels (2 to 5) are never occluded.
    """
    found = []
    for side in SIDES_PX:
        starts = np.arange(0, FACE_PX - side, STRIDE_PX, dtype=np.int64)
        y, x = (places.ravel() for places in np.meshgrid(starts, starts, indexing="ij"))
        found.append(np.stack([x, y, np.full_like(x, side), np.full_like(x, side)], axis=1))
    return np.concatenate(found)


def mirrored(squares: Squares) -> Squares:
    """Where the squares lie in the mirrored image."""
    x, y, w, h = squares.T
    return np.stack([FACE_PX - w - x, y, w, h], axis=1)


def occluded(image: Floats, squares: Squares, images_per_batch: int) -> Iterator[Floats]:
    """The image under each square, in batches.

    One array serves all batches: squares are drawn into it and wiped out again, and it lies channels_last in memory, in
    which networks compute. A batch is overwritten by the next, so keep none.

    Args:
        image: float32 (3, 112, 112), network space.

    Returns:
        float32 (B, 3, 112, 112), B <= images_per_batch.
    """
    size = min(images_per_batch, len(squares))
    batch = np.empty((size, *image.transpose(1, 2, 0).shape), np.float32)
    batch[:] = image.transpose(1, 2, 0)
    for first in range(0, len(squares), size):
        drawn = squares[first : first + size].tolist()
        for place, (x, y, w, h) in enumerate(drawn):
            batch[place, y : y + h, x : x + w] = BLACK
        yield batch[: len(drawn)].transpose(0, 3, 1, 2)
        for place, (x, y, w, h) in enumerate(drawn):
            batch[place, y : y + h, x : x + w] = image[:, y : y + h, x : x + w].transpose(1, 2, 0)
