"""How the cosines of a training image with the anchors fall off (DAM, Fig. 3): data/anchors/<name>/cosines.parquet."""

import pyarrow as pa

# One row a drawn image and rank. Ranks count from 1, the nearest anchor; cosines fall. The image's own identity does not count.
ANCHOR_COSINES = pa.schema([("image_id", pa.string()), ("rank", pa.int32()), ("cosine", pa.float32())])
