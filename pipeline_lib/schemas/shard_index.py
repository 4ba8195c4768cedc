"""Members of a shard set."""

import pyarrow as pa

from pipeline_lib.schemas.landmarks import LANDMARKS

# One row a member of a shard set; `offset` and `size` give the member's bytes inside the tar. `key` is the WebDataset key,
# `member` what follows its first dot ("png" or "jpg", "json"). `landmarks` in pixels of the aligned 112x112 image, `score` the
# detector's.
SHARD_INDEX = pa.schema(
    [
        ("key", pa.string()),
        ("member", pa.string()),
        ("shard", pa.string()),
        ("offset", pa.int64()),
        ("size", pa.int64()),
        ("image_id", pa.string()),
        ("identity", pa.string()),
        ("split", pa.string()),
        ("landmarks", LANDMARKS),
        ("score", pa.float32()),
    ]
)
