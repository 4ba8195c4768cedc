"""The features of single regions, stored in several folders, and their cosines (RRFNet, eq. 1)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.cosine import Floats, cosine
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.progress import track
from pipeline_lib.core.texts import as_texts
from pipeline_lib.data.patches.grid import Region
from pipeline_lib.matching.regions.fits import reading_order
from pipeline_lib.networks.embeddings.folders import embedding_folders
from pipeline_lib.networks.embeddings.store import StoredPatches

PAIR_BLOCK = 1024


@dataclass(frozen=True)
class RegionFeatures:
    """The stored features of regions: the folder of each position, and its column there."""

    places: Mapping[str, tuple[Path, int]]

    @property
    def positions(self) -> list[str]:
        """All positions, in the order of the paper's tables."""
        return [region.name for region in reading_order(self.places)]

    def of(self, keys: Iterable[str], positions: Sequence[str]) -> "ImageRegions":
        """The features of N images, K of `positions`, which are read when they are asked for.

        Raises:
            DataError: an image has no region features, or two regions have another D.
        """
        names = as_texts(keys)
        folders = {
            folder: StoredPatches(folder) for folder in dict.fromkeys(self.places[name][0] for name in positions)
        }
        lengths = {name: folders[self.places[name][0]].shape[1] for name in positions}
        if len(set(lengths.values())) > 1:
            raise DataError("Region networks differ in their embedding length.", got=lengths, allowed="one length")
        sources = [
            (stored, stored.rows(names), {place: self.places[name][1] for place, name in enumerate(positions)
                                          if self.places[name][0] == folder})
            for folder, stored in folders.items()
        ]  # fmt: skip
        return ImageRegions(sources, (len(positions), next(iter(lengths.values()))))


@dataclass(frozen=True)
class ImageRegions:
    """The features of some images, in files.

    Attributes:
        sources: files, in each the row of every image, int64 (N,), and the column of each region that it has, by the
            region's place among the K.
        shape: K, D.
    """

    sources: Sequence[tuple[StoredPatches, npt.NDArray[np.int64], Mapping[int, int]]]
    shape: tuple[int, int]

    def read(self, numbers: npt.NDArray[np.int64]) -> Floats:
        """Features of some of the images, by their numbers (n,): float32 (n, K, D)."""
        features = np.empty((len(numbers), *self.shape), np.float32)
        for stored, rows, columns in self.sources:
            features[:, list(columns)] = stored.read(rows[numbers])[:, list(columns.values())]
        return features


def open_region_features(root: Path) -> RegionFeatures:
    """The regions stored in `root`, or in the folders in it.

    Raises:
        DataError: there are none, a set has no regions, or a region stands in two folders.
    """
    places: dict[str, tuple[Path, int]] = {}
    for folder in embedding_folders(root).values():
        for column, name in enumerate(position_names(StoredPatches(folder))):
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
        keys_a, keys_b: N keys each, lists or core.texts.Texts.

    Raises:
        DataError: an image has no region features, or a zero one.
    """
    if not keys_a or len(keys_a) != len(keys_b):
        got = (len(keys_a), len(keys_b))
        raise DataError("There are no pairs of images to compare.", got=got, allowed="N >= 1 keys each")
    a, b = (features.of(keys, features.positions) for keys in (keys_a, keys_b))
    numbers, parts = np.arange(len(keys_a)), []
    for first in track(range(0, len(keys_a), PAIR_BLOCK), f"regions of {PAIR_BLOCK} pairs"):
        block = numbers[first : first + PAIR_BLOCK]
        parts.append(cosine(a.read(block), b.read(block)))
    return np.concatenate(parts)


def position_names(stored: StoredPatches) -> list[str]:
    """The regions' names of an embedding set's grid, in its order; raises DataError if it has none."""
    if stored.grid is None:
        raise DataError("These embeddings have no regions.", allowed="the output of the embed_regions stage")
    return [Region(width, x, y).name for x, y, width, _ in stored.grid.tolist()]
