"""Which images somebody will ask for: no others are embedded."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline_lib.core.tables import read_table
from pipeline_lib.core.texts import Texts
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.training_pairs import TRAINING_PAIRS


def rows_of_pairs(images: ShardImages, pairs: Path) -> list[int]:
    """Rows of the aligned images that are in a pair of any protocol, in shard order.

    Pairs may name images that did not come out of alignment; those have no row (verification counts and reports them).

    Raises:
        DataError: the table is missing or breaks its contract.
    """
    return _rows_in(images, [read_table(pairs, PAIRS)])


def rows_of_training_pairs(images: ShardImages, folder: Path) -> list[int]:
    """Rows of the images in the pairs that region weights are fitted on, in shard order.

    Args:
        images: the aligned set.
        folder: a table of schemas.training_pairs.TRAINING_PAIRS each fit; files of other names are not looked at.

    Raises:
        DataError: a table breaks its contract.
    """
    return _rows_in(images, [read_table(path, TRAINING_PAIRS) for path in sorted(folder.glob("*.parquet"))])


def _rows_in(images: ShardImages, tables: list[pa.Table]) -> list[int]:
    columns = [table[side] for table in tables for side in ("image_a", "image_b")]
    named = Texts(pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string()))
    rows: list[int] = np.flatnonzero(images.image_ids.is_in(named)).tolist()
    return rows
