"""What a network's features are like on average: of images that are nobody's test image."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline_lib.core.cosine import Floats
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import atomic_file

MEANS_FILE = "means.arrow"
COLUMNS = ("vector", "patches")


@dataclass(frozen=True)
class Means:
    """Means over some images, of features as they are stored.

    Attributes:
        vector: float32 (D,).
        patches: float32 (K, C), of each place.
        num_images: that they are taken over, >= 1.
    """

    vector: Floats
    patches: Floats
    num_images: int


def write_means(folder: Path, means: Means | None) -> None:
    """Write `folder`/means.arrow; None, where there was no image to take them over, as an empty table."""
    sizes = (0, 0, 0) if means is None else (*means.vector.shape, *means.patches.shape)
    schema = pa.schema(
        [("vector", pa.list_(pa.float32())), ("patches", pa.list_(pa.float32()))],
        metadata={"patch_dim": str(sizes[2]), "num_images": str(0 if means is None else means.num_images)},
    )
    rows = [] if means is None else [{"vector": means.vector, "patches": means.patches.reshape(-1)}]
    with atomic_file(folder / MEANS_FILE) as path, pa.ipc.new_file(path, schema) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def read_means(folder: Path) -> Means:
    """Read what write_means wrote.

    Raises:
        DataError: the file is missing, is another one, or says that there was no image.
    """
    path = folder / MEANS_FILE
    try:
        table = pa.ipc.open_file(path.read_bytes()).read_all()
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise DataError(
            "The mean features are missing or damaged; rerun embed_gallery.", got=error, where=path
        ) from error
    if tuple(table.schema.names) != COLUMNS:
        raise DataError(
            "A file of mean features has other columns.", got=table.schema.names, allowed=COLUMNS, where=path
        )
    if not table.num_rows:
        problem = "There is no training or validation image to take mean features from."
        raise DataError(problem, allowed="such people (ingest), or no centring (rerank)", where=path)
    row, metadata = table.to_pylist()[0], table.schema.metadata
    patches = np.array(row["patches"], np.float32).reshape(-1, int(metadata[b"patch_dim"]) or 1)
    return Means(np.array(row["vector"], np.float32), patches, int(metadata[b"num_images"]))
