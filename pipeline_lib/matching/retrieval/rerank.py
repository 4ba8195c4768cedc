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


def reranked_order(blended: Floats, scored: npt.NDArray[np.bool_], depth: int) -> Indices:
    """Positions of the stage-1 list in their new order.

    Those of the first `k` candidates that have a blended score are sorted by it among their places; all others keep the
    place that stage 1 gave them. Equal scores keep the order of stage 1.

    Args:
        blended: float32 (Q, k), the scores of the first k candidates in stage-1 order.
        scored: bool (Q, k), which of them have one.
        depth: length of the stage-1 lists, >= k.

    Returns:
        int64 (Q, depth); row q is a permutation of 0..depth-1: the new list is the old one taken in this order.

    Raises:
        DataError: a score is not finite, or depth < k.
    """
    num_queries, k = blended.shape
    num_broken = int((~np.isfinite(blended[scored])).sum())
    if depth < k or num_broken:
        got = f"depth {depth}, k {k}, {num_broken} scores not finite"
        raise DataError("Candidates cannot be re-ranked.", got=got, allowed="depth >= k, finite scores")
    order = np.tile(np.arange(depth, dtype=np.int64), (num_queries, 1))
    best_first = np.argsort(np.where(scored, -blended, np.inf), axis=1, kind="stable")
    order[:, :k][scored] = best_first[np.arange(k) < scored.sum(axis=1, keepdims=True)]
    return order
