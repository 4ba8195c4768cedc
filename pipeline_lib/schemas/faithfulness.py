"""Areas under insertion and deletion curves, by pair."""

import pyarrow as pa

# One row a genuine pair: areas under the insertion and deletion curves, both images of the pair averaged. `method` is the
# entry of params.explanations that made the maps; all entries measure the same pairs in one order.
FAITHFULNESS = pa.schema(
    [
        ("image_a", pa.string()),
        ("image_b", pa.string()),
        ("method", pa.string()),
        ("insertion_auc", pa.float64()),
        ("deletion_auc", pa.float64()),
    ]
)
