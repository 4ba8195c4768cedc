"""Candidates of occluded queries, before and after re-ranking."""

import pyarrow as pa

# One row a candidate of an occluded query, in the order of queries and of stage 1. Ranks count from 1. `num_relevant` is
# the number of gallery images of the query's identity, without the query's own original, which is not in its gallery.
RANKS = pa.schema(
    [
        ("query_key", pa.string()),
        ("kind", pa.string()),
        ("gallery_key", pa.string()),
        ("genuine", pa.bool_()),
        ("num_relevant", pa.int32()),
        ("rank_cosine", pa.int32()),
        ("rank_reranked", pa.int32()),
        ("cosine", pa.float32()),
        # EMD similarity; null beyond rerank.top_k, and where no patch resembles the other image (nothing is transported)
        ("emd", pa.float32()),
        ("reranked", pa.float32()),  # alpha * emd + (1 - alpha) * cosine; null likewise: the candidate keeps its place
    ]
)
