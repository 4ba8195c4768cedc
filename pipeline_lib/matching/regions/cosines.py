"""The local similarities of pairs of stored images, one a region (RRFNet, eq. 1)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline_lib.core.cosine import Floats, cosine
from pipeline_lib.core.errors import DataError
from pipeline_lib.data.patches.grid import Region
from pipeline_lib.networks.embeddings.store import EmbeddingSet, read_patches

PAIR_BLOCK = 1024


def region_cosines(folder: Path, keys_a: Sequence[str], keys_b: Sequence[str]) -> Floats:
    """S_local,i = f_i^A·f_i^B / (‖f_i^A‖‖f_i^B‖) of each region i, float32 (N, K) (RRFNet, eq. 1).

    Args:
        folder: region embeddings (stage embed_regions); read a block of pairs at a time.
        keys_a, keys_b: N keys each.

    Raises:
        DataError: an image has no region features, or a zero one.
    """
    if not keys_a or len(keys_a) != len(keys_b):
        got = (len(keys_a), len(keys_b))
        raise DataError("There are no pairs of images to compare.", got=got, allowed="N >= 1 keys each")
    blocks = [slice(first, first + PAIR_BLOCK) for first in range(0, len(keys_a), PAIR_BLOCK)]
    parts = [cosine(read_patches(folder, keys_a[block]), read_patches(folder, keys_b[block])) for block in blocks]
    return np.concatenate(parts)


def position_names(embedded: EmbeddingSet) -> list[str]:
    """The regions' names of an embedding set's grid, in its order; raises DataError if it has none."""
    if embedded.grid is None:
        raise DataError("These embeddings have no regions.", allowed="the output of the embed_regions stage")
    return [Region(width, x, y).name for x, y, width, _ in embedded.grid.tolist()]
