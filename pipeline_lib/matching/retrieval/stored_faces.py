"""Queries and gallery from an embedding set, their patch maps read when they are compared."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline_lib.core.cosine import Floats
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.texts import as_texts
from pipeline_lib.matching.rerankers.shared.reranker import Indices, PatchFaces
from pipeline_lib.matching.retrieval.two_stage import Faces
from pipeline_lib.networks.embeddings.landmarks import read_landmarks
from pipeline_lib.networks.embeddings.store import EmbeddingSet, StoredPatches


def stored_faces(store: EmbeddingSet, folder: Path, keys: Sequence[str], mean: Floats | None = None) -> Faces:
    """The rows `keys` of an embedding set with their patches.

    Args:
        store: the set without patches.
        folder: where it was read from.
        keys: of the images.
        mean: float32 (D,), taken off the vectors that are searched by.

    Raises:
        DataError: an image has no embedding or no patches, or the mean another length.
    """
    rows, stored = store.rows(keys), StoredPatches(folder)
    patch_rows, grid = stored.rows(keys), stored.grid
    if grid is None:
        raise DataError("A gallery has no patch features; rerun embed_gallery.", where=folder)
    vectors = store.vectors[rows]
    if mean is not None and mean.shape != vectors.shape[1:]:
        raise DataError("A mean is of other embeddings.", got=mean.shape, allowed=vectors.shape[1:], where=folder)

    landmarks = read_landmarks(folder, keys)

    def read(places: Indices) -> PatchFaces:
        names = [keys[place] for place in places]
        points = None if landmarks is None else landmarks[places]
        return PatchFaces(names, vectors[places], stored.read(patch_rows[places]), np.asarray(grid), points)

    image_ids, identities = (as_texts(texts).take(rows) for texts in (store.image_ids, store.identities))
    return Faces(keys, image_ids, identities, vectors if mean is None else vectors - mean, read)
