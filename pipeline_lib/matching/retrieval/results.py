"""A two-stage ranking as a table of candidates, and as figures a kind of occlusion, before and after re-ranking."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline_lib.matching.retrieval.metrics import retrieval_metrics
from pipeline_lib.matching.retrieval.two_stage import Faces, TwoStageRanking
from pipeline_lib.schemas.ranks import RANKS

ALL = "all"


def ranks_table(ranking: TwoStageRanking, queries: Faces, gallery: Faces, kinds: Sequence[str]) -> pa.Table:
    """One row a candidate (schemas.ranks.RANKS), queries in their order, candidates in that of stage 1; ranks from 1.

    Args:
        ranking: of `queries` in `gallery`.
        kinds: Q, the occlusion of each query.
    """
    num_queries, depth = ranking.candidates.shape
    query = np.repeat(np.arange(num_queries), depth)
    reranked = np.empty_like(ranking.order)
    np.put_along_axis(reranked, ranking.order, np.broadcast_to(np.arange(1, depth + 1), reranked.shape), axis=1)
    columns = [
        pa.array(queries.keys, pa.string()).take(pa.array(query)),
        pa.array(kinds, pa.string()).take(pa.array(query)),
        pa.array(gallery.keys, pa.string()).take(pa.array(ranking.candidates.reshape(-1))),
        pa.array(ranking.genuine.reshape(-1)),
        pa.array(np.repeat(ranking.num_relevant, depth).astype(np.int32)),
        pa.array(np.tile(np.arange(1, depth + 1, dtype=np.int32), num_queries)),
        pa.array(reranked.reshape(-1).astype(np.int32)),
        pa.array(ranking.cosines.reshape(-1)),
        _null_without_score(ranking.emd, ranking.carried, depth),
        _null_without_score(ranking.blended, ranking.carried, depth),
    ]
    return pa.table(columns, schema=RANKS)


def metrics_by_kind(ranking: TwoStageRanking, kinds: Sequence[str]) -> dict[str, dict[str, object]]:
    """P@1, RP, MAP@R of both stages for each kind of occlusion, and for all queries together under "all".

    Returns:
        {kind: {"cosine": {p_at_1, rp, map_at_r}, "emd_reranked": {...}, num_queries, num_left_out, num_not_converged,
        num_nothing_carried}};
        num_not_converged counts candidate pairs whose transport stopped at the iteration limit, num_nothing_carried those
        without a patch that resembles the other image, which stage 2 leaves out (they keep their place).

    Raises:
        DataError: no query of a kind has a relevant gallery image.
    """
    kind_of = np.array(kinds)
    rows_of = {kind: np.flatnonzero(kind_of == kind) for kind in sorted(set(kinds))}
    reranked = np.take_along_axis(ranking.genuine, ranking.order, axis=1)
    result: dict[str, dict[str, object]] = {}
    for kind, rows in {**rows_of, ALL: np.arange(len(kinds))}.items():
        before = retrieval_metrics(ranking.genuine[rows], ranking.num_relevant[rows])
        after = retrieval_metrics(reranked[rows], ranking.num_relevant[rows])
        result[kind] = {
            **{
                name: {"p_at_1": stage.p_at_1, "rp": stage.rp, "map_at_r": stage.map_at_r}
                for name, stage in (("cosine", before), ("emd_reranked", after))
            },
            "num_queries": before.num_queries,
            "num_left_out": before.num_left_out,
            "num_not_converged": int((~ranking.converged[rows]).sum()),
            "num_nothing_carried": int((~ranking.carried[rows]).sum()),
        }
    return result


def _null_without_score(scores: npt.NDArray[np.float32], scored: npt.NDArray[np.bool_], depth: int) -> pa.Array:
    """Scores (Q, k) as a column of Q·depth; null where there are none, and beyond k."""
    full, missing = np.zeros((len(scores), depth), np.float32), np.ones((len(scores), depth), np.bool_)
    full[:, : scores.shape[1]], missing[:, : scores.shape[1]] = scores, ~scored
    return pa.array(full.reshape(-1), mask=missing.reshape(-1))
