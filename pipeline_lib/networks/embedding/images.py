"""The aligned or occluded images of a shard set, by row, for embedding and for the raw-pixel baseline."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.geometry import FACE_SHAPE
from pipeline_lib.core.tables import read_table
from pipeline_lib.core.texts import Texts
from pipeline_lib.data.shards.images import decode_image, is_image
from pipeline_lib.data.shards.reader import ShardReader
from pipeline_lib.schemas.shard_index import SHARD_INDEX


class ShardImages:
    """The images of `folder`/shards, in the order of `folder`/index.parquet.

    Attributes:
        keys, image_ids, identities, splits: one text an image.

    Raises:
        DataError: the index is missing or breaks its contract, or names a key twice.
    """

    def __init__(self, folder: Path) -> None:
        index = read_table(folder / "index.parquet", SHARD_INDEX)
        index = index.filter(is_image(index))
        self.folder = folder
        self._reader = ShardReader(folder / "shards", index)
        self.keys, self.image_ids = Texts(index["key"]), Texts(index["image_id"])
        self.identities, self.splits = Texts(index["identity"]), Texts(index["split"])
        if pc.count_distinct(self.keys.column).as_py() != len(self.keys):
            raise DataError("A shard index names an image twice.", where=folder / "index.parquet")

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, rows: Sequence[int]) -> npt.NDArray[np.uint8]:
        """The images of `rows`, uint8 (len(rows), 112, 112, 3), RGB.

        Raises:
            DataError: an image is unreadable or has another size.
        """
        images = np.empty((len(rows), *FACE_SHAPE), np.uint8)
        for place, row in enumerate(rows):
            image = decode_image(self._reader.read(row))
            if image.shape != FACE_SHAPE:
                where = f"{self.folder}, {self.keys[row]}"
                raise DataError("An aligned image has another size.", got=image.shape, allowed=FACE_SHAPE, where=where)
            images[place] = image
        return images
