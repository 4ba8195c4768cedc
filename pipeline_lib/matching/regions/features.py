"""The features of single regions, stored in several folders, and their cosines (RRFNet, eq. 1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline_lib.core.cosine import Floats, cosine
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.progress import track
from pipeline_lib.data.patches.grid import Region
from pipeline_lib.matching.regions.fits import reading_order
from pipeline_lib.networks.embeddings.folders import embedding_folders
from pipeline_lib.networks.embeddings.store import EmbeddingSet, read_embeddings, read_patches

PAIR_BLOCK = 1024


@dataclass(frozen=True)
class RegionFeatures:
    """The stored features of regions: the folder of each position, and its column there."""

    places: Mapping[str, tuple[Path, int]]

    @property
    def positions(self) -> list[str]:
        """All positions, in the order of the paper's tables."""
        return [region.name for region in reading_order(self.places)]

    def read(self, keys: Sequence[str], positions: Sequence[str]) -> Floats:
        """Features of images, float32 (len(keys), K, D), K in the order of `positions`.

        Raises:
            DataError: an image has no region features, or two regions have another D.
        """
        columns: dict[str, Floats] = {}
        for folder in dict.fromkeys(self.places[name][0] for name in positions):
            stored = read_patches(folder, keys)
            columns |= {
                name: stored[:, self.places[name][1]] for name in positions if self.places[name][0] == folder
            }  # fmt: skip
        lengths = {name: columns[name].shape[1] for name in positions}
        if len(set(lengths.values())) > 1:
            raise DataError("Region networks differ in their embedding length.", got=lengths, allowed="one length")
        return np.stack([columns[name] for name in positions], axis=1)


def open_region_features(root: Path) -> RegionFeatures:
    """The regions stored in `root`, or in the folders in it.

    Raises:
        DataError: there are none, a set has no regions, or a region stands in two folders.
    """
    places: dict[str, tuple[Path, int]] = {}
    for folder in embedding_folders(root).values():
        for column, name in enumerate(position_names(read_embeddings(folder))):
            if name in places:
                problem = "A region is embedded twice; remove the folder that no stage writes any more."
                raise DataError(problem, got=name, where=f"{places[name][0]}, {folder}")
            places[name] = (folder, column)
    if not places:
        raise DataError("There are no region features; run the embed_regions stage.", where=root)
    return RegionFeatures(places)


def region_cosines(features: RegionFeatures, keys_a: Sequence[str], keys_b: Sequence[str]) -> Floats:
    """S_local,i = f_i^A·f_i^B / (‖f_i^A‖‖f_i^B‖) of each region i, float32 (N, K) (RRFNet, eq. 1).

    Args:
        features: of K positions; read a block of pairs at a time.
        keys_a, keys_b: N keys each.

    Raises:
        DataError: an image has no region features, or a zero one.
    """
    if not keys_a or len(keys_a) != len(keys_b):
        got = (len(keys_a), len(keys_b))
        raise DataError("There are no pairs of images to compare.", got=got, allowed="N >= 1 keys each")
    positions = features.positions
    parts = []
    for first in track(range(0, len(keys_a), PAIR_BLOCK), f"regions of {PAIR_BLOCK} pairs"):
        block = slice(first, first + PAIR_BLOCK)
        parts.append(cosine(*(features.read(keys[block], positions) for keys in (keys_a, keys_b))))
    return np.concatenate(parts)


def position_names(embedded: EmbeddingSet) -> list[str]:
    """The regions' names of an embedding set's grid, in its order; raises DataError if it has none."""
    if embedded.grid is None:
        raise DataError("These embeddings have no regions.", allowed="the output of the embed_regions stage")
    return [Region(width, x, y).name for x, y, width, _ in embedded.grid.tolist()]
