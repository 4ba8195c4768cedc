"""Candidates of queries, before and after re-ranking."""

import pyarrow as pa

# Keys of metrics.json that are no kind of query: what was ranked how, and how much of the exact answer stage 1 found.
ENTRY, SEARCH = "entry", "search"
NO_KINDS = (ENTRY, SEARCH)

# One row a candidate of a query, in the order of queries and of stage 1. Ranks count from 1. `num_relevant` is the number of
# gallery images of the query's identity, without the query's own original, which is not in its gallery. Candidates behind
# both the last re-ranked place and the last that a metric reads are left out.
RANKS = pa.schema(
    [
        ("query_key", pa.string()),
        ("query_identity", pa.string()),
        ("kind", pa.string()),  # of occlusion; clean
        ("gallery_key", pa.string()),
        ("genuine", pa.bool_()),
        ("num_relevant", pa.int32()),
        ("rank_cosine", pa.int32()),
        ("rank_reranked", pa.int32()),
        ("cosine", pa.float32()),
        # by the re-ranker; null behind rerank.top_k, and where a pair cannot be compared (EMD: no patch resembles the other's)
        ("compared", pa.float32()),
        (
            "reranked",
            pa.float32(),
        ),  # alpha * compared + (1 - alpha) * cosine; null likewise: the candidate keeps its place
    ]
)
