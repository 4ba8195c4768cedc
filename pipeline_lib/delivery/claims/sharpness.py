"""How sharp a face is: the variance of its Laplacian (Pech-Pacheco et al. 2000), the usual measure of blur."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.roc import Doubles
from pipeline_lib.core.texts import MISSING, as_texts

LUMA = (0.299, 0.587, 0.114)  # of R, G, B
BLOCK = 256


def laplacian_variance(images: npt.NDArray[np.uint8]) -> Doubles:
    """Variance over an image's inner pixels of L = y(up) + y(down) + y(left) + y(right) - 4 y, y its luma in 0..255.

    Args:
        images: uint8 (N,H,W,3), RGB, of one size, for a larger picture of the same face is blurrier; H, W >= 3.

    Returns:
        float64 (N,), >= 0; 0 of a picture without edges.
    """
    y = images.astype(np.float64) @ np.array(LUMA)
    around = y[:, :-2, 1:-1] + y[:, 2:, 1:-1] + y[:, 1:-1, :-2] + y[:, 1:-1, 2:]
    return np.asarray((around - 4 * y[:, 1:-1, 1:-1]).var(axis=(1, 2)))


def read_sharpness(aligned: Path, image_ids: Sequence[str]) -> Doubles:
    """laplacian_variance of aligned faces, (N,); NaN of an image that was not aligned, as some of a template's are.

    Args:
        aligned: the align stage's folder.

    Raises:
        DataError: a file is missing or damaged.
    """
    from pipeline_lib.networks.embedding.images import ShardImages  # and with it OpenCV

    images = ShardImages(aligned)
    rows = images.image_ids.rows(as_texts(image_ids))
    found, there = np.full(len(rows), np.nan), np.flatnonzero(rows != MISSING)
    for first in range(0, len(there), BLOCK):
        block = there[first : first + BLOCK]
        found[block] = laplacian_variance(images.read(rows[block].tolist()))
    return found
