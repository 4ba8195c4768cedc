"""Cosine similarity of feature vectors."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError

Floats = npt.NDArray[np.float32]


def unit(vectors: npt.ArrayLike) -> Floats:
    """v/‖v‖ along the last axis, float32, the norm taken in float64.

    Args:
        vectors: (..., D), finite, D >= 1.

    Raises:
        DataError: a vector is zero, NaN or infinite: it has no direction. Names the first such rows.
    """
    values = np.asarray(vectors, np.float32)
    norms = np.sqrt(np.einsum("...d,...d->...", values, values, dtype=np.float64))
    bad = ~(np.isfinite(norms) & (norms > 0))
    if bad.any():
        rows = [tuple(int(i) for i in row) for row in np.argwhere(bad)[:5]]
        raise DataError(
            "A feature vector is zero, NaN or infinite.", got=f"rows {rows}", allowed="finite, not all zero"
        )
    scaled = values / norms[..., None]
    return np.asarray(scaled, np.float32)


def cosine(a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """cos = a·b / (‖a‖‖b‖), vector by vector.

    Args:
        a, b: (..., D) of one shape, finite, not zero.

    Returns:
        float32 (...), in [-1, 1] up to rounding (1e-6).

    Raises:
        DataError: the shapes differ, or see unit.
    """
    first, second = unit(a), unit(b)
    if first.shape != second.shape:
        raise DataError("Two sets of features differ in shape.", got=(first.shape, second.shape), allowed="one shape")
    return np.asarray(np.einsum("...d,...d->...", first, second), np.float32)
