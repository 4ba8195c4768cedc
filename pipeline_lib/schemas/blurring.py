"""Scores of pairs of which a share is blurred."""

import pyarrow as pa

# One row a measured pair; none where the network has no threshold. `method`: as in FAITHFULNESS. `shares`: of image B's pixels
# that are blurred, the most salient of an impostor pair, the least salient of a genuine one. `scores`: the pair's cosine at each
# share, A untouched. `threshold`: the pair counts as a match at or above it.
BLURRING = pa.schema(
    [
        ("protocol", pa.string()),
        ("image_a", pa.string()),
        ("image_b", pa.string()),
        ("identity_a", pa.string()),
        ("identity_b", pa.string()),
        ("genuine", pa.bool_()),
        ("method", pa.string()),
        ("threshold", pa.float64()),
        ("shares", pa.list_(pa.float64())),
        ("scores", pa.list_(pa.float64())),
    ]
)
