"""DAM: the cosine set against how crowded each of the two embeddings' neighbourhood is (papers/dam.md)."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.cosine import Floats, unit
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.top_k import top_k

Doubles = npt.NDArray[np.float64]


def log_dam(
    cosines: npt.ArrayLike, log_lid_a: npt.ArrayLike, log_lid_b: npt.ArrayLike, scale: float, product: bool = False
) -> Doubles:
    """log DAM; DAM = exp(s·cos)·(1/G_a + 1/G_b) (DAM, eq. 3), or exp(s·cos)/(G_a·G_b) with `product` (section 4.6).

    log DAM = s·cos + log(exp(-log G_a) + exp(-log G_b)). The logarithm is what we report: it is monotone in DAM, so
    ROC, AUC, EER and TAR are DAM's own, and it neither overflows at a large s nor loses digits in float32 columns.

    Args:
        cosines: (N,), of the pairs.
        log_lid_a, log_lid_b: (N,), log G of the two images of each pair; see log_lid.
        scale: s > 0; 1 in the paper.
        product: the product form, 1/(G_a·G_b) in place of the sum.

    Raises:
        DataError: a value is NaN or infinite, or s <= 0.
    """
    values = [np.asarray(each, np.float64) for each in (cosines, log_lid_a, log_lid_b)]
    _check_scale(scale)
    if not all(np.isfinite(each).all() for each in values):
        raise DataError("DAM got a cosine or discrepancy that is NaN or infinite.", allowed="finite values")
    cos, first, second = values
    return scale * cos - (first + second if product else -np.logaddexp(-first, -second))


def log_lid(neighbour_cosines: npt.ArrayLike, scale: float) -> Doubles:
    """Log of the local inter-class discrepancy, log G = log Σ_{i<=k} exp(s·cos(f, f^i)) (DAM, eq. 3).

    Args:
        neighbour_cosines: (N, k), cosines with the k nearest anchors.
        scale: s > 0.

    Returns:
        float64 (N,).

    Raises:
        DataError: k is 0, a value is NaN or infinite, or s <= 0.
    """
    _check_scale(scale)
    logits = scale * np.asarray(neighbour_cosines, np.float64)
    if logits.ndim != 2 or logits.shape[1] == 0 or not np.isfinite(logits).all():
        raise DataError("Neighbour cosines are no finite table.", got=logits.shape, allowed="finite (N, k), k >= 1")
    largest = logits.max(axis=1, keepdims=True, initial=-np.inf)
    return np.asarray(largest[:, 0] + np.log(np.exp(logits - largest).sum(axis=1)))


def nearest_cosines(
    vectors: npt.ArrayLike,
    anchors: npt.ArrayLike,
    num_neighbours: int,
    left_out: npt.NDArray[np.int64] | None = None,
) -> Floats:
    """Cosines with the k nearest anchors, exact (core.top_k).

    Args:
        vectors: (N, D), finite, not zero; not normalised before.
        anchors: (A, D), likewise.
        num_neighbours: k >= 1.
        left_out: int64 (N,), the anchor that must not count for each row, -1 for none. For training images this is the
            anchor of their own identity, be it another image or the very same one: G is inter-class (j ≠ y_i in eq. 4
            and 5). Images to verify need none, for no anchor may share their identity.

    Returns:
        float32 (N, k), descending.

    Raises:
        DataError: fewer anchors than k (plus one where some are left out), another D, or see cosine.unit.
    """
    queries, references = unit(vectors), unit(anchors)
    if queries.ndim != 2 or references.ndim != 2 or queries.shape[1] != references.shape[1]:
        got = (queries.shape, references.shape)
        raise DataError("Images and anchors come from different networks.", got=got, allowed="(N, D) and (A, D)")
    most = len(references) - (left_out is not None)
    if not 1 <= num_neighbours <= most:
        allowed = f"1 to {most} neighbours for {len(references)} anchors"
        raise DataError("There are too few anchors.", got=num_neighbours, allowed=allowed, where="num_neighbours")
    return top_k(queries, references, num_neighbours, left_out)[1]


def _check_scale(scale: float) -> None:
    if not (np.isfinite(scale) and scale > 0):
        raise DataError("DAM's scale is not positive.", got=scale, allowed="> 0", where="scale")
