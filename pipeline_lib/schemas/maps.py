"""Explained pairs."""

import pyarrow as pa

from pipeline_lib.core.geometry import FACE_PX

_MAP = pa.list_(pa.float32(), FACE_PX * FACE_PX)

# One row an explained pair; `protocol`: whose pair it is. `score`: the cosine that is explained. `map_a`, `map_b`: one value a
# pixel of the aligned image, row by row; positive speaks for a match. `confidence`: that the decision is right, in [0, 1]; null
# where a method gives none. `terms`: K*K, what patch i of A with patch j of B (at i*K + j) adds to the score; null where a method
# splits nothing. `boxes`: x y w h px of the K patches; null where it has none. `picture`:
# the pair's file in pictures/, without suffix; null where none was drawn.
MAPS = pa.schema(
    [
        ("protocol", pa.string()),
        ("image_a", pa.string()),
        ("image_b", pa.string()),
        ("genuine", pa.bool_()),
        ("score", pa.float64()),
        ("map_a", _MAP),
        ("map_b", _MAP),
        ("confidence", pa.float64()),
        ("terms", pa.list_(pa.float64())),
        ("boxes", pa.list_(pa.list_(pa.int32(), 4))),
        ("picture", pa.string()),
    ]
)
