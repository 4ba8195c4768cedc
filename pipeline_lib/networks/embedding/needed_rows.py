"""Which images somebody will ask for: no others are embedded."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pipeline_lib.core.tables import read_table
from pipeline_lib.data.sources.shared.training_pairs import draw_training_pairs
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.params.regions import RegionWeights
from pipeline_lib.schemas.pairs import PAIRS


def rows_of_pairs(images: ShardImages, pairs: Path) -> list[int]:
    """Rows of the aligned images that are in a pair of any protocol, in shard order.

    Pairs may name images that did not come out of alignment; those have no row (verification counts and reports them).

    Raises:
        DataError: the table is missing or breaks its contract.
    """
    table = read_table(pairs, PAIRS)
    named = set(table["image_a"].to_pylist()) | set(table["image_b"].to_pylist())
    return [row for row, image_id in enumerate(images.image_ids) if image_id in named]


def rows_of_training_pairs(images: ShardImages, fits: Iterable[RegionWeights]) -> set[int]:
    """Rows of the images in the pairs that region weights are learned from: each fit draws its own from its seed.

    Raises:
        DataError: see draw_training_pairs.
    """
    rows: set[int] = set()
    for fit in fits:
        rng = np.random.default_rng(fit.seed)
        folds = fit.num_cross_validation_folds
        drawn = draw_training_pairs(images.identities, images.splits, fit.num_pairs, folds, rng)
        rows |= {*drawn.a.tolist(), *drawn.b.tolist()}
    return rows
