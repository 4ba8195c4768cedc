"""RRFNet's similarity: the sum over all pairs of patches, each patch of one image with each of the other."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.similarity.cosine import Floats, cosine


def patch_sum(patches_a: npt.ArrayLike, patches_b: npt.ArrayLike) -> Floats:
    """S = Σ_i Σ_j f_i^A·f_j^B / (K² ‖F^A‖ ‖F^B‖) with F = (1/K) Σ_i f_i (RRFNet, eq. 3 and 8).

    The double sum is K² F^A·F^B, so it is computed as the cosine of the means, in K instead of K² products. It is what
    the contributions of explanation/rrf_map add up to.

    Args:
        patches_a, patches_b: (..., K, C) of one shape, finite, not normalised.

    Returns:
        float32 (...), in [-1, 1].

    Raises:
        DataError: the shapes differ or have no K, a mean is zero, a value is NaN or infinite.
    """
    first, second = np.asarray(patches_a, np.float32), np.asarray(patches_b, np.float32)
    if first.shape != second.shape or first.ndim < 2 or first.shape[-2] == 0:
        raise DataError(
            "Patch features differ in shape.", got=(first.shape, second.shape), allowed="(..., K, C), K >= 1"
        )
    return cosine(first.mean(axis=-2, dtype=np.float64), second.mean(axis=-2, dtype=np.float64))
