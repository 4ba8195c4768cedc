"""Faces that a detector found."""

import pyarrow as pa

from pipeline_lib.schemas.landmarks import BOX, LANDMARKS

# One row a face, in the manifest's order, those of a photograph by falling score. Box and landmarks in pixels of the upright
# photograph, which the box may reach beyond. `score`: the detector's own. `chosen`: this face was aligned; of a photograph that
# was rejected none is. A photograph whose landmarks are stated, or whose face is aligned already, was not searched and has none.
CANDIDATES = pa.schema(
    [
        ("image_id", pa.string()),
        ("box", BOX),
        ("landmarks", LANDMARKS),
        ("score", pa.float32()),
        ("chosen", pa.bool_()),
    ]
)
