"""Verification pairs."""

import pyarrow as pa

# One row a verification pair. `fold` counts from 0 within its protocol.
PAIRS = pa.schema(
    [
        ("protocol", pa.string()),
        ("fold", pa.int32()),
        ("image_a", pa.string()),
        ("image_b", pa.string()),
        ("genuine", pa.bool_()),
    ]
)
