"""From shards to an embedding store, a few batches in memory at a time."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.progress import track
from pipeline_lib.networks.embedding.extract import Floats, Images
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.store import EmbeddingSet, EmbeddingWriter

Embed = Callable[[Images], tuple[Floats, Floats]]


def embed_shards(
    writer: EmbeddingWriter,
    images: ShardImages,
    rows: Sequence[int],
    kinds: Sequence[str | None],
    with_patches: Sequence[bool],
    embed: Embed,
    images_per_chunk: int,
) -> None:
    """Embed rows of a shard set and append them to a store; memory holds one chunk.

    Args:
        writer: open; it fixes D, K and C.
        images: the shard set.
        rows: which images, in the order in which they are read and written.
        kinds: the occlusion on each of `rows`, None for a clean image.
        with_patches: whether the patch features of each of `rows` are kept.
        embed: uint8 (N, 112, 112, 3) -> float32 (N, D) and (N, K, C).
        images_per_chunk: images in memory, and rows a record batch.

    Raises:
        DataError: an image is unreadable, or see EmbeddingWriter.write.
    """
    starts = range(0, len(rows), images_per_chunk)
    for first in track(starts, f"embedding {images.folder.name}, chunks of {images_per_chunk} images", len(starts)):
        chunk = list(rows[first : first + images_per_chunk])
        vectors, patches = embed(images.read(chunk))
        keep: npt.NDArray[np.bool_] = np.array(with_patches[first : first + images_per_chunk], np.bool_)
        keys = [images.keys[row] for row in chunk]
        writer.write(
            EmbeddingSet(
                keys=keys,
                image_ids=[images.image_ids[row] for row in chunk],
                identities=[images.identities[row] for row in chunk],
                splits=[images.splits[row] for row in chunk],
                kinds=list(kinds[first : first + images_per_chunk]),
                vectors=vectors,
                patches=patches[keep],
                patch_keys=[key for key, kept in zip(keys, keep, strict=True) if kept],
            )
        )


def query_rows(images: ShardImages, kind_of_query: dict[str, str]) -> tuple[list[int], list[str]]:
    """Rows and kinds of the occluded images that are queries, in shard order.

    Args:
        images: the occluded shard set.
        kind_of_query: {key: kind} of the queries.

    Raises:
        DataError: a query has no image.
    """
    rows = [row for row, key in enumerate(images.keys) if key in kind_of_query]
    if len(rows) != len(kind_of_query):
        missing = sorted(set(kind_of_query) - set(images.keys))[:5]
        raise DataError("An occluded query has no image; rerun the occlude stage.", got=missing, where=images.folder)
    return rows, [kind_of_query[images.keys[row]] for row in rows]
