"""Values of cells as a map of pixels."""

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.geometry import FACE_PX


def cell_map(values: npt.NDArray[np.floating[Any]], boxes: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Lay each cell's value on the pixels of its box.

    Where boxes overlap (an RRFNet's) a pixel has the mean of those that hold it; where there is none it has 0.

    Args:
        values: (K,).
        boxes: int64 (K, 4), x y w h px, inside the image.

    Returns:
        float32 (112, 112).
    """
    assert boxes.shape == (*values.shape, 4), "each value has a box"
    total, num = np.zeros((FACE_PX, FACE_PX)), np.zeros((FACE_PX, FACE_PX))
    for value, (x, y, w, h) in zip(values.tolist(), boxes.tolist(), strict=True):
        total[y : y + h, x : x + w] += value
        num[y : y + h, x : x + w] += 1
    return (total / np.maximum(num, 1)).astype(np.float32)
