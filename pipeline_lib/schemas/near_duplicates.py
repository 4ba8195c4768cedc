"""Pairs of images that may be one photograph."""

import pyarrow as pa

# One row a pair of aligned images of two identities or of two splits, nearest first. `cosine` of their embeddings;
# `pixel_correlation` of their luminance (networks/embeddings/near_duplicates.py).
NEAR_DUPLICATES = pa.schema(
    [
        ("image_a", pa.string()),
        ("identity_a", pa.string()),
        ("split_a", pa.string()),
        ("image_b", pa.string()),
        ("identity_b", pa.string()),
        ("split_b", pa.string()),
        ("cosine", pa.float32()),
        ("pixel_correlation", pa.float32()),
    ]
)
