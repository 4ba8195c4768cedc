"""What stage 2 of a re-ranking took."""

import pyarrow as pa

# One row a query, in the order of queries. `seconds`: comparing its `num_pairs` candidates on one of `num_threads` threads that
# worked at once, reading and preparing the maps included; queries of a block share its time.
RERANK_SECONDS = pa.schema(
    [
        ("query_key", pa.string()),
        ("query_identity", pa.string()),
        ("kind", pa.string()),  # as in schemas/ranks.py
        ("num_pairs", pa.int32()),
        ("num_threads", pa.int32()),
        ("seconds", pa.float64()),
    ]
)
