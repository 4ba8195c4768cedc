"""Stage 2 of identification: the best candidates of stage 1 in the order of a score that also compares patches."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


def blended_scores(cosines: Floats, emd: Floats, alpha: float) -> Floats:
    """alpha · EMD similarity + (1 - alpha) · cosine, of any one shape (DeepFace-EMD stage 2; 0.7 in the paper)."""
    blended: Floats = (np.float32(alpha) * emd + np.float32(1.0 - alpha) * cosines).astype(np.float32)
    return blended


def reranked_order(blended: Floats, depth: int) -> Indices:
    """Positions of the stage-1 list in their new order.

    The first `k` candidates are sorted by their blended score, the rest keep the order of stage 1. Equal scores keep the
    order of stage 1.

    Args:
        blended: float32 (Q, k), the scores of the first k candidates in stage-1 order.
        depth: length of the stage-1 lists, >= k.

    Returns:
        int64 (Q, depth); row q is a permutation of 0..depth-1: the new list is the old one taken in this order.

    Raises:
        DataError: a score is not finite, or depth < k.
    """
    num_queries, k = blended.shape
    if depth < k or not np.isfinite(blended).all():
        got = f"depth {depth}, k {k}, {int((~np.isfinite(blended)).sum())} scores not finite"
        raise DataError("Candidates cannot be re-ranked.", got=got, allowed="depth >= k, finite scores")
    order = np.argsort(-blended, axis=1, kind="stable")
    rest = np.broadcast_to(np.arange(k, depth, dtype=np.int64), (num_queries, depth - k))
    return np.concatenate([order, rest], axis=1)
