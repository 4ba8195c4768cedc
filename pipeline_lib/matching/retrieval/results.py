"""A two-stage ranking as a table of candidates, and as figures a kind of query, before and after re-ranking."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline_lib.core.bootstrap import NUM_RESAMPLES, IdentityBootstrap
from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.retrieval.metrics import precisions
from pipeline_lib.matching.retrieval.two_stage import Faces, TwoStageRanking
from pipeline_lib.schemas.ranks import RANKS
from pipeline_lib.schemas.rerank_seconds import RERANK_SECONDS

ALL = "all"
SEED = 0


def ranks_table(ranking: TwoStageRanking, queries: Faces, gallery: Faces, kinds: Sequence[str], depth: int) -> pa.Table:
    """One row a candidate (schemas.ranks.RANKS), queries in their order, candidates in that of stage 1; ranks from 1.

    Args:
        ranking: of `queries` in `gallery`.
        kinds: Q, the occlusion of each query, or clean.
        depth: candidates that neither ranking has among its first `depth` are left out.
    """
    places = np.arange(1, ranking.order.shape[1] + 1)
    reranked = np.empty_like(ranking.order)
    np.put_along_axis(reranked, ranking.order, np.broadcast_to(places, reranked.shape), axis=1)
    query, place = np.nonzero((places <= depth) | (reranked <= depth))
    columns = [
        pa.array(queries.keys, pa.string()).take(pa.array(query)),
        pa.array(queries.identities, pa.string()).take(pa.array(query)),
        pa.array(kinds, pa.string()).take(pa.array(query)),
        pa.array(gallery.keys, pa.string()).take(pa.array(ranking.candidates[query, place])),
        pa.array(ranking.genuine[query, place]),
        pa.array(ranking.num_relevant[query].astype(np.int32)),
        pa.array((place + 1).astype(np.int32)),
        pa.array(reranked[query, place].astype(np.int32)),
        pa.array(ranking.cosines[query, place]),
        _null_without_score(ranking.compared, ranking.carried, query, place),
        _null_without_score(ranking.blended, ranking.carried, query, place),
    ]
    return pa.table(columns, schema=RANKS)


def seconds_table(ranking: TwoStageRanking, queries: Faces, kinds: Sequence[str], num_threads: int) -> pa.Table:
    """One row a query (schemas.rerank_seconds.RERANK_SECONDS): what comparing its candidates took."""
    num_queries, k = ranking.compared.shape
    counts = [pa.array(np.full(num_queries, count, np.int32)) for count in (k, num_threads)]
    texts = [pa.array(column, pa.string()) for column in (queries.keys, queries.identities, kinds)]
    return pa.table([*texts, *counts, pa.array(ranking.seconds)], schema=RERANK_SECONDS)


def metrics_by_kind(ranking: TwoStageRanking, kinds: Sequence[str]) -> dict[str, dict[str, object]]:
    """P@1, RP, MAP@R before and after re-ranking for each kind of query, and for all queries together under "all".

    Returns:
        {kind: {"cosine", "reranked", "bound", "change": {p_at_1, rp, map_at_r: {value, low, high}}, num_queries,
        num_left_out, num_not_converged, num_nothing_carried}}; "bound" is a re-ranking that puts every relevant image of the
        first k first, "change" reranked - cosine. Intervals are 95 %, over resamples of the queries' identities, the same ones
        for all figures of a kind; null where a kind has one identity. num_left_out counts queries without a relevant gallery
        image, num_not_converged candidate pairs whose comparison stopped at its limit, num_nothing_carried those that cannot
        be compared, which stage 2 leaves out (they keep their place).

    Raises:
        DataError: no query of a kind has a relevant gallery image.
    """
    kind_of = np.array(kinds)
    rows_of = {kind: np.flatnonzero(kind_of == kind) for kind in sorted(set(kinds))}
    k = ranking.compared.shape[1]
    perfect = np.concatenate([~np.sort(~ranking.genuine[:, :k], axis=1), ranking.genuine[:, k:]], axis=1)
    lists = {
        "cosine": ranking.genuine,
        "reranked": np.take_along_axis(ranking.genuine, ranking.order, axis=1),
        "bound": perfect,
    }
    result: dict[str, dict[str, object]] = {}
    for kind, rows in {**rows_of, ALL: np.arange(len(kinds))}.items():
        try:
            each = {name: asdict(precisions(found[rows], ranking.num_relevant[rows])) for name, found in lists.items()}
        except DataError as error:
            raise DataError(f"{error}", where=f"queries of kind {kind}") from error
        counted = ranking.num_relevant[rows] >= 1
        people = ranking.identities[rows][counted]
        bootstrap = IdentityBootstrap(np.stack([people, people], axis=1), NUM_RESAMPLES, np.random.default_rng(SEED))
        each["change"] = {metric: each["reranked"][metric] - each["cosine"][metric] for metric in each["cosine"]}
        figures = {
            name: {metric: bootstrap.estimate(values[counted])._asdict() for metric, values in of.items()}
            for name, of in each.items()
        }
        result[kind] = {
            **figures,
            "num_queries": int(counted.sum()),
            "num_left_out": int((~counted).sum()),
            "num_not_converged": int((~ranking.converged[rows]).sum()),
            "num_nothing_carried": int((~ranking.carried[rows]).sum()),
        }
    return result


def _null_without_score(
    scores: npt.NDArray[np.float32],
    scored: npt.NDArray[np.bool_],
    query: npt.NDArray[np.int64],
    place: npt.NDArray[np.int64],
) -> pa.Array:
    """Scores (Q, k) of some candidates; null where there are none, and beyond k."""
    inside = np.minimum(place, scores.shape[1] - 1)
    return pa.array(scores[query, inside], mask=(place >= scores.shape[1]) | ~scored[query, inside])
