"""What was drawn on which face."""

import pyarrow as pa

# One row an occluded image: what was drawn on which aligned image. `drawn` is JSON.
OCCLUSIONS = pa.schema(
    [
        ("key", pa.string()),
        ("image_id", pa.string()),
        ("kind", pa.string()),
        ("purpose", pa.string()),  # train | query
        ("drawn", pa.string()),
    ]
)
