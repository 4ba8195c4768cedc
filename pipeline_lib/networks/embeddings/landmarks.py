"""The 68 landmarks of a gallery's images and its queries, beside their embeddings."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline_lib.core.cosine import Floats
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.texts import MISSING, Texts

LANDMARKS_FILE = "landmarks.arrow"
NUM_POINTS = 68
SCHEMA = pa.schema([("key", pa.string()), ("landmarks", pa.list_(pa.float32(), 2 * NUM_POINTS))])


def read_landmarks(folder: Path, keys: Iterable[str]) -> Floats | None:
    """Landmarks of images, float32 (N, 68, 2); None where the set came without.

    Raises:
        DataError: the file is damaged, or an image is not in it.
    """
    path = folder / LANDMARKS_FILE
    if not path.is_file():
        return None
    try:
        table = pa.ipc.open_file(path.read_bytes()).read_all()
    except pa.ArrowInvalid as error:
        raise DataError("A file of landmarks is damaged; rerun embed_gallery.", got=error, where=path) from error
    if table.schema != SCHEMA:
        raise DataError(
            "A file of landmarks has other columns.", got=table.schema.names, allowed=SCHEMA.names, where=path
        )
    asked = list(keys)
    rows = Texts(table["key"]).rows(asked)
    if (rows == MISSING).any():
        raise DataError(
            "An image has no landmarks.", got=[asked[row] for row in np.flatnonzero(rows == MISSING)[:5]], where=path
        )
    points: Floats = table["landmarks"].combine_chunks().flatten().to_numpy().reshape(-1, NUM_POINTS, 2)
    return points[rows]
