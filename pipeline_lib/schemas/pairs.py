"""Verification pairs."""

import pyarrow as pa

# One row a verification pair. `fold` counts from 0 within its protocol. `image_a` and `image_b` name an image, which is a
# template of one, or a template of many (schemas/templates.py). `group` names the pairs that a protocol tells apart
# (a demographic group, a pose); null in most protocols.
PAIRS = pa.schema(
    [
        ("protocol", pa.string()),
        ("fold", pa.int32()),
        ("image_a", pa.string()),
        ("image_b", pa.string()),
        ("genuine", pa.bool_()),
        ("group", pa.string()),
    ]
)
