"""Queries and gallery from an embedding set, their patch maps read a few images at a time."""

from collections.abc import Sequence
from pathlib import Path

import torch

from pipeline_lib.matching.emd.sinkhorn import UnitPatches, unit_patches
from pipeline_lib.matching.emd.weights import pool_grid
from pipeline_lib.matching.retrieval.two_stage import Faces
from pipeline_lib.networks.embeddings.store import EmbeddingSet, read_patches

CHUNK = 256


def stored_faces(store: EmbeddingSet, folder: Path, keys: Sequence[str], pool: int) -> Faces:
    """The rows `keys` of an embedding set with their patches.

    Args:
        store: the set without patches.
        folder: where it was read from.
        keys: of the images.
        pool: 2 averages the patch grid 2x2, 1 leaves it.

    Raises:
        DataError: an image has no embedding or no patches, a patch has no direction, or the grid cannot be averaged.
    """
    rows = store.rows(keys)
    return Faces(
        keys,
        [store.image_ids[row] for row in rows],
        [store.identities[row] for row in rows],
        store.vectors[rows],
        _read_unit_patches(store, folder, keys, pool),
    )


def _read_unit_patches(store: EmbeddingSet, folder: Path, keys: Sequence[str], pool: int) -> UnitPatches:
    """Chunk by chunk into tensors of the final size: the maps of a whole gallery are in memory once."""
    whole: UnitPatches | None = None
    for first in range(0, len(keys), CHUNK):
        chunk = list(keys[first : first + CHUNK])
        patches = read_patches(folder, chunk)
        if pool == 2 and store.grid is not None:
            patches = pool_grid(patches, store.grid)
        part = unit_patches(patches, lambda row, chunk=chunk: chunk[row])  # type: ignore[misc]
        if whole is None:
            shapes = ((len(keys), *each.shape[1:]) for each in (part.unit, part.mean))
            whole = UnitPatches(*(torch.empty(shape) for shape in shapes))
        whole.unit[first : first + len(chunk)], whole.mean[first : first + len(chunk)] = part.unit, part.mean
    return UnitPatches(torch.empty(0, 0, 0), torch.empty(0, 0)) if whole is None else whole
