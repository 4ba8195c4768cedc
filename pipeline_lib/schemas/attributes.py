"""What a user says of photographs."""

import pyarrow as pa

# One row a photograph and an attribute of it that is known; `name` is that of a column of the user's table.
ATTRIBUTES = pa.schema(
    [
        ("image_id", pa.string()),
        ("name", pa.string()),
        ("value", pa.string()),
    ]
)
