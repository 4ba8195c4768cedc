"""Inputs that did not come out of a stage."""

import pyarrow as pa

# One row an input that did not come out of a stage.
REJECTS = pa.schema(
    [
        ("image_id", pa.string()),
        ("uri", pa.string()),
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
