"""Areas under insertion and deletion curves, by pair and method."""

import pyarrow as pa

# One row a genuine pair and method: areas under the insertion and deletion curves, both images of the pair averaged.
FAITHFULNESS = pa.schema(
    [
        ("image_a", pa.string()),
        ("image_b", pa.string()),
        ("method", pa.string()),
        ("insertion_auc", pa.float64()),
        ("deletion_auc", pa.float64()),
    ]
)
