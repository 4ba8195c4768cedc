"""What anchors say of the training images: data/anchors/<name>/training.parquet."""

import pyarrow as pa

# One row an aligned image of the train split, in the order of the shard index. Anchors of the image's own identity do not count.
# held_out: DAM-L did not learn from it. own_cosine, own_probability: of the image's own class, where the anchors are of kind
# class_weights; else null.
ANCHOR_TRAINING = pa.schema(
    [
        ("image_id", pa.string()),
        ("identity", pa.string()),
        ("held_out", pa.bool_()),
        ("log_lid", pa.float32()),  # by DAM-R
        ("log_lid_learned", pa.float32()),  # by DAM-L
        ("own_cosine", pa.float32()),
        ("own_probability", pa.float32()),
    ]
)
