"""P@1 of a re-ranking by the share of the comparison in its score, from the table of candidates (thesis, Fig. 5.1)."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.bootstrap import NUM_RESAMPLES, IdentityBootstrap
from pipeline_lib.delivery.report.drawing import Band
from pipeline_lib.matching.retrieval.rerank import blended_scores

ALPHAS = np.round(np.linspace(0.0, 1.0, 11), 1)
ALL = "all"
SEED = 0


def right_by_alpha(known: pa.Table) -> np.ndarray:
    """Whether each query's first place is right at each of ALPHAS: bool (Q, 11), queries in the order of the table.

    The rule is that of matching.retrieval.rerank.reranked_order: compared candidates are sorted among their places, so that one
    without a comparison in the first place stays there.

    Args:
        known: schemas.ranks.RANKS, of queries with a right answer, with every candidate that was compared.
    """
    query = known["query_key"].combine_chunks().dictionary_encode().indices.to_numpy()
    rank, genuine, cosine, compared = (
        known[name].to_numpy() for name in ("rank_cosine", "genuine", "cosine", "compared")
    )
    scored, first = np.isfinite(compared), np.flatnonzero(rank == 1)
    first = first[np.argsort(query[first])]
    right = np.empty((len(first), len(ALPHAS)), np.bool_)
    for column, alpha in enumerate(ALPHAS):
        blended = np.where(scored, blended_scores(cosine, compared, float(alpha)), -np.inf)
        order = np.lexsort((rank, -blended, query))
        best = order[np.unique(query[order], return_index=True)[1]]
        right[:, column] = genuine[np.where(scored[first], best, first)]
    return right


def alpha_curves(ranks: pa.Table) -> dict[str, Band]:
    """P@1 in per cent over ALPHAS: all queries with a 95 % interval over their people, then each kind without (NaN).

    Args:
        ranks: schemas.ranks.RANKS of an entry whose `top_k` is a number; of a whole gallery compared the table keeps the best
            places of the entry's own alpha alone.
    """
    known = ranks.filter(pc.greater(ranks["num_relevant"], 0))
    right = 100.0 * right_by_alpha(known)
    firsts = known.filter(pc.equal(known["rank_cosine"], 1))
    people, kinds = (np.asarray(firsts[name].to_pylist()) for name in ("query_identity", "kind"))
    bootstrap = IdentityBootstrap(np.stack([people, people], axis=1), NUM_RESAMPLES, np.random.default_rng(SEED))
    curves: dict[str, Band] = {ALL: (ALPHAS, *bootstrap.band(right))}
    unknown = np.full(len(ALPHAS), np.nan)
    if len(set(kinds)) > 1:
        curves |= {kind: (ALPHAS, right[kinds == kind].mean(axis=0), unknown, unknown) for kind in sorted(set(kinds))}
    return curves
