"""Which images somebody will ask for: no others are embedded."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.tables import read_table
from pipeline_lib.core.texts import Texts
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.templates import TEMPLATES, TEMPLATES_FILE
from pipeline_lib.schemas.training_pairs import TRAINING_PAIRS


def rows_of_pairs(images: ShardImages, pairs: Path) -> list[int]:
    """Rows of the aligned images that are in a pair of any protocol, by themselves or in a template, in shard order.

    Pairs may name images that did not come out of alignment; those have no row (verification counts and reports them).

    Raises:
        DataError: the table, or that of the templates beside it, is missing or breaks its contract.
    """
    table, templates = read_table(pairs, PAIRS), pairs.with_name(TEMPLATES_FILE)
    columns = [table["image_a"], table["image_b"]]
    if templates.exists():  # most sources have pairs of images only
        members = read_table(templates, TEMPLATES)
        columns.append(members.filter(pc.is_in(members["template"], _joined(columns).column))["image_id"])
    return _rows_in(images, columns)


def rows_of_training_pairs(images: ShardImages, folder: Path) -> list[int]:
    """Rows of the images in the pairs that region weights are fitted on, in shard order.

    Args:
        images: the aligned set.
        folder: a table of schemas.training_pairs.TRAINING_PAIRS each fit; files of other names are not looked at.

    Raises:
        DataError: a table breaks its contract.
    """
    tables = [read_table(path, TRAINING_PAIRS) for path in sorted(folder.glob("*.parquet"))]
    return _rows_in(images, [table[side] for table in tables for side in ("image_a", "image_b")])


def _rows_in(images: ShardImages, columns: list[pa.ChunkedArray]) -> list[int]:
    rows: list[int] = np.flatnonzero(images.image_ids.is_in(_joined(columns))).tolist()
    return rows


def _joined(columns: list[pa.ChunkedArray]) -> Texts:
    return Texts(pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string()))
