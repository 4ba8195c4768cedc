"""Queries and gallery from an embedding set, their patch maps read when they are compared."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.texts import as_texts
from pipeline_lib.matching.emd.sinkhorn import UnitPatches, unit_patches
from pipeline_lib.matching.emd.weights import pool_grid
from pipeline_lib.matching.retrieval.two_stage import Faces
from pipeline_lib.networks.embeddings.store import EmbeddingSet, StoredPatches


def stored_faces(store: EmbeddingSet, folder: Path, keys: Sequence[str], pool: int) -> Faces:
    """The rows `keys` of an embedding set with their patches.

    Args:
        store: the set without patches.
        folder: where it was read from.
        keys: of the images.
        pool: 2 averages the patch grid 2x2, 1 leaves it.

    Raises:
        DataError: an image has no embedding or no patches; when patches are read, one has no direction, or the grid cannot
            be averaged.
    """
    rows, stored = store.rows(keys), StoredPatches(folder)
    patch_rows = stored.rows(keys)

    def read(places: npt.NDArray[np.int64]) -> UnitPatches:
        patches = stored.read(patch_rows[places])
        if pool == 2 and stored.grid is not None:
            patches = pool_grid(patches, stored.grid)
        return unit_patches(patches, lambda place: keys[places[place]])

    image_ids, identities = (as_texts(texts).take(rows) for texts in (store.image_ids, store.identities))
    return Faces(keys, image_ids, identities, store.vectors[rows], read)
