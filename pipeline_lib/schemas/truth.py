"""What the demo's renderer drew."""

import pyarrow as pa

from pipeline_lib.schemas.landmarks import LANDMARKS

# One row a face that the demo's renderer drew (photos/truth.parquet), counted from the left; pictures of nobody have no row.
TRUTH = pa.schema(
    [
        ("image_id", pa.string()),
        ("face_index", pa.int32()),
        ("box", pa.list_(pa.float32(), 4)),  # x0 y0 x1 y1
        ("landmarks", LANDMARKS),
    ]
)
