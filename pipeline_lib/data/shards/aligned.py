"""The aligned images as rows of their index, from which a worker reads the images for itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.geometry import FACE_SHAPE
from pipeline_lib.data.shards.images import decode_image, is_image
from pipeline_lib.data.shards.reader import ShardReader

if TYPE_CHECKING:
    import pyarrow as pa

IMAGES_A_BATCH = 64  # some 3 MB of pixels: enough work for a task to be worth sending, little to lose with a worker


@dataclass(frozen=True)
class AlignedRow:
    """What the index says of one aligned image. landmarks: float32 (5, 2), pixels of the image."""

    key: str
    image_id: str
    identity: str
    split: str
    landmarks: npt.NDArray[np.float32]
    score: float


@dataclass(frozen=True)
class AlignedBatch:
    """Some rows of the index of aligned images, and the folder their shards lie in, an absolute path."""

    shards: Path
    index: "pa.Table"

    def __len__(self) -> int:
        return int(self.index.num_rows)

    def rows(self) -> list[AlignedRow]:
        """The batch's rows, in order."""
        return [
            AlignedRow(
                row["key"],
                row["image_id"],
                row["identity"],
                row["split"],
                np.array(row["landmarks"], np.float32).reshape(5, 2),
                row["score"],
            )
            for row in self.index.to_pylist()
        ]

    def image(self, reader: ShardReader, i: int) -> npt.NDArray[np.uint8]:
        """Decode row i: uint8 RGB (112, 112, 3).

        Raises:
            DataError: the shard is damaged, or the image is none or of another size; names shard and key.
        """
        data = reader.read(i)
        where = f"{self.shards / self.index['shard'][i].as_py()}, {self.index['key'][i].as_py()}"
        try:
            image = decode_image(data)
        except DataError as error:
            raise DataError("An aligned image cannot be decoded; rerun align.", got=error, where=where) from error
        if image.shape != FACE_SHAPE:
            raise DataError("An aligned image has another size.", got=image.shape, allowed=FACE_SHAPE, where=where)
        return image

    def reader(self) -> ShardReader:
        """Random access to the batch's members, for the process that reads them."""
        return ShardReader(self.shards, self.index)


def image_rows(aligned: Path, splits: Sequence[str]) -> "pa.Table":
    """The rows of the index of the aligned images of some splits, in its order.

    Args:
        aligned: the align stage's folder, with shards/ and index.parquet.
        splits: of train, val, test.

    Raises:
        DataError: the index is missing or breaks its schema.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from pipeline_lib.core.tables import read_table
    from pipeline_lib.schemas.shard_index import SHARD_INDEX

    index = read_table(aligned / "index.parquet", SHARD_INDEX)
    chosen = index.filter(pc.and_(is_image(index), pc.is_in(index["split"], value_set=pa.array(splits, pa.string()))))
    return chosen.combine_chunks()  # taking from a column of many chunks goes through all of it each time
