"""Photographs as ingest found them."""

import pyarrow as pa

from pipeline_lib.schemas.landmarks import LANDMARKS

SPLITS = ("train", "val", "test")
VIEWS = FRONTAL, PROFILE = "frontal", "profile"

# One row a photograph. `uri` is a path as opened from the repository root. `media` groups the frames of one video or the
# photographs of one session (image_id where there is no such group). `landmarks` in pixels of the upright photograph. `view` is
# null where the source does not state it.
MANIFEST = pa.schema(
    [
        ("image_id", pa.string()),
        ("identity", pa.string()),
        ("split", pa.string()),
        ("media", pa.string()),
        ("uri", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("sha256", pa.string()),
        ("landmarks", LANDMARKS),
        ("view", pa.string()),
    ]
)
