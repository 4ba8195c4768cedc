"""Which images somebody will ask for: no others are embedded."""

from pathlib import Path

from pipeline_lib.core.tables import read_table
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.training_pairs import TRAINING_PAIRS


def rows_of_pairs(images: ShardImages, pairs: Path) -> list[int]:
    """Rows of the aligned images that are in a pair of any protocol, in shard order.

    Pairs may name images that did not come out of alignment; those have no row (verification counts and reports them).

    Raises:
        DataError: the table is missing or breaks its contract.
    """
    table = read_table(pairs, PAIRS)
    named = set(table["image_a"].to_pylist()) | set(table["image_b"].to_pylist())
    return [row for row, image_id in enumerate(images.image_ids) if image_id in named]


def rows_of_training_pairs(images: ShardImages, folder: Path) -> list[int]:
    """Rows of the images in the pairs that region weights are fitted on, in shard order.

    Args:
        images: the aligned set.
        folder: a table of schemas.training_pairs.TRAINING_PAIRS each fit; files of other names are not looked at.

    Raises:
        DataError: a table breaks its contract.
    """
    tables = [read_table(path, TRAINING_PAIRS) for path in sorted(folder.glob("*.parquet"))]
    named = {name for table in tables for side in ("image_a", "image_b") for name in table[side].to_pylist()}
    return [row for row, image_id in enumerate(images.image_ids) if image_id in named]
