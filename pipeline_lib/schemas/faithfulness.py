"""What was measured of an explanation's maps, by pair."""

import pyarrow as pa

# One row a genuine pair. `identity`: who it shows. `method`: the entry of params.explanations that made the maps; all entries
# measure the same pairs in one order. `*_auc`: areas under the insertion and deletion curves, both images of the pair averaged;
# insertion into the blurred and deletion to the grey image are RRFNet's, the other two have the other image below.
# `same_position_share`: of the patches whose most similar partner is at the same position; null but for terms of an additive
# network.
FAITHFULNESS = pa.schema(
    [
        ("protocol", pa.string()),
        ("image_a", pa.string()),
        ("image_b", pa.string()),
        ("identity", pa.string()),
        ("method", pa.string()),
        ("insertion_auc", pa.float64()),
        ("deletion_auc", pa.float64()),
        ("insertion_grey_auc", pa.float64()),
        ("deletion_blur_auc", pa.float64()),
        ("same_position_share", pa.float64()),
    ]
)
