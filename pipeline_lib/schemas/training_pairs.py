"""Pairs of images of training or validation people, which region weights are fitted on."""

import pyarrow as pa

# `fold` counts from 0 within its split, train or val; no identity stands in two of them.
TRAINING_PAIRS = pa.schema(
    [
        ("image_a", pa.string()),
        ("image_b", pa.string()),
        ("identity_a", pa.string()),
        ("identity_b", pa.string()),
        ("genuine", pa.bool_()),
        ("fold", pa.int32()),
        ("split", pa.string()),
    ]
)
