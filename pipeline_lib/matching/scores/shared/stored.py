"""Stored faces: what embeddings and shards have of the images of some pairs, put together to faces."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.cosine import Floats, unit
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.texts import as_texts
from pipeline_lib.matching.regions.features import open_region_features
from pipeline_lib.matching.scores.shared.faces import Faces, Needs
from pipeline_lib.matching.scores.shared.pairs import faces_of
from pipeline_lib.matching.scores.shared.reads import Reads
from pipeline_lib.networks.embeddings.store import StoredPatches, read_embeddings

Rows = npt.NDArray[np.int64]


class StoredFaces:
    """What an entry's folders have of the faces in its pairs.

    Where each image stands in each folder is looked up once, for all of them; a block of faces then costs what it holds.

    Args:
        reads: the entry's inputs.
        needs: of its columns; nothing else is opened.

    Raises:
        DataError: a file is missing or damaged, a network that is needed is not embedded, or an image has no features.
    """

    def __init__(self, reads: Reads, needs: Iterable[Needs]) -> None:
        wanted = list(needs)
        self.pairs, folders = reads.pairs, reads.networks
        alone = [need.network for need in wanted if need.network is not None]
        networks = dict.fromkeys([*alone, *(name for need in wanted for name in need.side_by_side)])
        missing = [name for name in networks if name not in folders]
        if missing:
            raise DataError("A network is not embedded.", got=missing, allowed=list(folders), where=reads.of)
        images = as_texts(self.pairs.images(faces_of(self.pairs.table)))
        self._number_of = {image: number for number, image in enumerate(images)}
        self.vectors: dict[str, tuple[Floats, Rows]] = {}
        for name in networks:
            embedded = read_embeddings(folders[name])
            self.vectors[name] = embedded.vectors, embedded.rows(images)
        with_patches = {need.network for need in wanted if need.with_patches}
        self.patches: dict[str, tuple[StoredPatches, Rows]] = {}
        for name in networks:
            if name in with_patches:
                patches = StoredPatches(folders[name])
                self.patches[name] = patches, patches.rows(images)
        self.positions = list(dict.fromkeys(name for need in wanted for name in need.positions))
        self.regions = open_region_features(reads.of).of(images, self.positions) if self.positions else None
        self.pixels = None
        if any(need.pixels for need in wanted):
            from pipeline_lib.networks.embedding.images import ShardImages  # and with it OpenCV

            self.pixels = ShardImages(reads.aligned)
            self.pixel_rows = self.pixels.image_ids.rows(images)

    def numbers(self, images: Sequence[str]) -> Rows:
        """The images' numbers among those of the pairs, int64."""
        return np.array([self._number_of[image] for image in images], np.int64)

    def block(self, faces: Sequence[str]) -> "FaceBlock":
        """Some faces of the pairs, by the names that these give them, which may come several times."""
        return FaceBlock(self, faces)


class FaceBlock:
    """The faces of one side of a block of pairs; regions and pixels are read once, however many columns need them.

    A template's features are averaged over the images of a medium, each times its weight, and summed over media (METHODS,
    section 1, IJB); its pixels are their mean. What an image's feature is, its mirrored image's added or not, was decided when
    it was embedded. Each different face is put together once, however many of the block's pairs have it.
    """

    def __init__(self, stored: StoredFaces, faces: Sequence[str]) -> None:
        self._stored = stored
        different = {face: number for number, face in enumerate(dict.fromkeys(faces))}
        self._faces = np.array([different[face] for face in faces], np.int64)
        images = stored.pairs.images(different)
        self._numbers = stored.numbers(images)
        row_of = {image: row for row, image in enumerate(images)}
        parts = [stored.pairs.parts(face) for face in different]
        self._starts = np.cumsum([0, *map(len, parts)])[:-1]
        self._rows = np.array([row_of[image] for each in parts for image in each], np.int64)
        self._shares = np.array([share for each in parts for share in each.values()], np.float32)

    def faces(self, needs: Needs) -> Faces:
        """The faces with what `needs` says.

        Raises:
            DataError: an embedding that is to have unit length has no direction.
        """
        vectors = patches = None
        if needs.side_by_side:
            vectors = np.hstack([unit(self._vectors(name)) for name in needs.side_by_side])
        elif needs.network is not None:
            vectors = self._vectors(needs.network)
            if needs.with_patches:
                kept, rows = self._stored.patches[needs.network]
                patches = self._combined(kept.read(rows[self._numbers]))
        elif needs.positions:
            patches = self._regions[:, [self._stored.positions.index(name) for name in needs.positions]]
        return Faces(vectors, patches, self._pixels if needs.pixels else None)

    def _vectors(self, network: str) -> Floats:
        stored, rows = self._stored.vectors[network]
        return self._combined(stored[rows[self._numbers]])

    @cached_property
    def _regions(self) -> Floats:
        assert self._stored.regions is not None
        return self._combined(self._stored.regions.read(self._numbers))

    @cached_property
    def _pixels(self) -> npt.NDArray[np.uint8]:
        assert self._stored.pixels is not None
        images = self._stored.pixels.read(self._stored.pixel_rows[self._numbers].tolist())
        if self._images_themselves:
            return images[self._rows[self._faces]]
        sums = np.add.reduceat(self._shares, self._starts)
        return np.rint(self._combined(images, (1 / sums).astype(np.float32))).astype(np.uint8)

    @property
    def _images_themselves(self) -> bool:
        return len(self._starts) == len(self._rows) and bool((self._shares == 1).all())

    def _combined(self, features: npt.NDArray[Any], scale: Floats | None = None) -> Floats:
        """The faces' features from their images', each face's times `scale`."""
        if self._images_themselves:
            return features[self._rows[self._faces]]
        shares = self._shares.reshape(-1, *[1] * (features.ndim - 1))
        faces = np.add.reduceat(shares * features[self._rows], self._starts, axis=0)
        return (faces if scale is None else scale.reshape(-1, *shares.shape[1:]) * faces)[self._faces]
