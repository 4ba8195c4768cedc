"""Photographs as ingest found them."""

import pyarrow as pa

from pipeline_lib.schemas.landmarks import BOX, LANDMARKS

SPLITS = ("train", "val", "test")
VIEWS = FRONTAL, PROFILE = "frontal", "profile"

# One row a photograph. `uri` is a path as opened from the repository root; `offset` and `length` say which of its bytes, null
# where the file is this photograph's own. `faces` says how the face is found (params.ingest.Source). `media` groups the frames of
# one video or the photographs of one session (image_id where there is no such group). `landmarks` in pixels of the upright
# photograph, and so `box`, which says where the face is. `view` is null where the source does not state it.
MANIFEST = pa.schema(
    [
        ("image_id", pa.string()),
        ("identity", pa.string()),
        ("split", pa.string()),
        ("media", pa.string()),
        ("uri", pa.string()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("faces", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("sha256", pa.string()),
        ("landmarks", LANDMARKS),
        ("box", BOX),
        ("view", pa.string()),
    ]
)
