"""Stored faces: what embeddings and shards have of the images of some pairs, put together to faces."""

from collections.abc import Iterable, Sequence
from functools import cached_property

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

    A template's features are averaged over the images of a medium and summed over media (METHODS, section 1, IJB). What
    an image's feature is, its mirrored image's added or not, was decided when it was embedded.
    """

    def __init__(self, stored: StoredFaces, faces: Sequence[str]) -> None:
        self._stored = stored
        images = stored.pairs.images(faces)
        self._numbers = stored.numbers(images)
        row_of = {image: row for row, image in enumerate(images)}
        media = [stored.pairs.media(face) for face in faces]
        parts = [
            (owner, row_of[image], 1 / len(images))
            for owner, each in enumerate(media)
            for images in each
            for image in images
        ]
        owners, rows, shares = zip(*parts, strict=True)
        self._owners, self._rows = np.array(owners, np.int64), np.array(rows, np.int64)
        self._shares, self._num = np.array(shares, np.float32), len(faces)

    def faces(self, needs: Needs) -> Faces:
        """The faces with what `needs` says.

        Raises:
            DataError: an embedding that is to have unit length has no direction; pixels are asked of a template of many images.
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
        if not self._one_image_each:
            raise DataError("Pixels are compared image by image; a template of many images has none of its own.")
        images = self._stored.pixels.read(self._stored.pixel_rows[self._numbers].tolist())
        return images[self._rows]

    @property
    def _one_image_each(self) -> bool:
        return len(self._owners) == self._num

    def _combined(self, features: Floats) -> Floats:
        """The faces' features from their images'."""
        if self._one_image_each:
            return features[self._rows]
        shares = self._shares.reshape(-1, *[1] * (features.ndim - 1))
        faces = np.zeros((self._num, *features.shape[1:]), np.float32)
        np.add.at(faces, self._owners, shares * features[self._rows])
        return faces
