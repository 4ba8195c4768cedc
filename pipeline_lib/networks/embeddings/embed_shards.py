"""From shard sets to an embedding store, on all ranks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline_lib.core.files import atomic_dir, atomic_file
from pipeline_lib.core.progress import track
from pipeline_lib.core.world import World
from pipeline_lib.networks.embedding.batches import embedded_batches
from pipeline_lib.networks.embedding.extract import Embed, Floats, shapes
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.landmarks import LANDMARKS_FILE, NUM_POINTS, SCHEMA
from pipeline_lib.networks.embeddings.means import Means
from pipeline_lib.networks.embeddings.store import EmbeddingSet, EmbeddingWriter

LANDMARKS_AT_ONCE = 256
MAX_MEAN_IMAGES = 1000  # the mean of more differs from theirs by a thirtieth of the images' spread


@dataclass(frozen=True)
class Part:
    """Images of one shard set that are embedded: `rows` of it, and the occlusion on each (None: all are clean)."""

    images: ShardImages
    rows: Sequence[int]
    kinds: Sequence[str] | None = None

    def batches(self, size: int) -> "list[Part]":
        """Parts of `size` images, the last of fewer; they do not depend on the number of ranks, so neither do the bytes."""
        slices = [slice(first, first + size) for first in range(0, len(self.rows), size)]
        return [Part(self.images, self.rows[own], self.kinds and self.kinds[own]) for own in slices]

    def labelled(self, vectors: Floats, patches: Floats) -> EmbeddingSet:
        """Features (N, D) and (N, K, C) of this part's images, with all that is known of them."""
        keys = [self.images.keys[row] for row in self.rows]
        return EmbeddingSet(
            keys=keys,
            image_ids=[self.images.image_ids[row] for row in self.rows],
            identities=[self.images.identities[row] for row in self.rows],
            splits=[self.images.splits[row] for row in self.rows],
            kinds=[None] * len(keys) if self.kinds is None else list(self.kinds),
            vectors=vectors,
            patches=patches if patches.shape[1] else None,
            patch_keys=keys if patches.shape[1] else [],
        )


def embed_shards(
    out: Path,
    parts: Sequence[Part],
    embed: Embed,
    grid: npt.NDArray[np.int64] | None,
    batch_size: int,
    world: World,
    weights_digest: str = "",
) -> None:
    """Embed images and write them as an embedding set: all ranks compute, rank 0 writes, and memory holds a few batches.

    Args:
        out: a folder, which is replaced.
        parts: written in this order.
        embed: see embedding.extract.Embed.
        grid: int64 (K, 4), the boxes of the patch features; None where there are none.
        batch_size: images a forward pass, and rows a record batch.
        world: all ranks call this with the same arguments.
        weights_digest: see EmbeddingWriter.

    Raises:
        DataError: an image is unreadable, or see EmbeddingWriter.write.
    """
    if not world.is_main:
        for part in parts:
            for _ in _embedded(part, embed, batch_size, world):
                pass
        return
    dim, _, patch_dim = shapes(embed)
    with atomic_dir(out) as folder, EmbeddingWriter(folder, dim, grid, patch_dim, weights_digest) as writer:
        for part in parts:
            for embedded in _embedded(part, embed, batch_size, world):
                writer.write(embedded)


def mean_features(
    embed: Embed, images: ShardImages, rows: Sequence[int], batch_size: int, world: World
) -> Means | None:
    """The mean features of up to 1,000 of the images `rows`, evenly spread over them; on all ranks but the first, and where there
    are no rows, None. All ranks call it with the same arguments; for these see embedded_batches.

    Raises:
        DataError: an image is unreadable.
    """
    step = -(-len(rows) // MAX_MEAN_IMAGES) or 1
    chosen = list(rows[::step])
    batches = [chosen[first : first + batch_size] for first in range(0, len(chosen), batch_size)]
    sums = [
        (vectors.sum(axis=0, dtype=np.float64), patches.sum(axis=0, dtype=np.float64))
        for vectors, patches in embedded_batches(embed, images, batches, world)
    ]
    if not sums:
        return None
    vector, patches = (np.sum(parts, axis=0) / len(chosen) for parts in zip(*sums, strict=True))
    return Means(vector.astype(np.float32), patches.astype(np.float32), len(chosen))


def write_landmarks(folder: Path, parts: Sequence[Part], find: Callable[[npt.NDArray[np.uint8]], Floats]) -> None:
    """Write `folder`/landmarks.arrow, a batch in memory at a time.

    Args:
        folder: of the embedding set.
        parts: the images.
        find: from uint8 RGB (B, 112, 112, 3) to float32 (B, 68, 2), x y in px (data.faces.detection.landmarks68).

    Raises:
        DataError: an image is unreadable.
    """
    with atomic_file(folder / LANDMARKS_FILE) as path, pa.ipc.new_file(path, SCHEMA) as writer:
        for batch in (batch for part in parts for batch in part.batches(LANDMARKS_AT_ONCE)):
            found = find(batch.images.read(batch.rows)).reshape(-1)
            keys = pa.array([batch.images.keys[row] for row in batch.rows], pa.string())
            points = pa.FixedSizeListArray.from_arrays(pa.array(found), 2 * NUM_POINTS)
            writer.write_batch(pa.record_batch([keys, points], schema=SCHEMA))


def _embedded(part: Part, embed: Embed, batch_size: int, world: World) -> Iterator[EmbeddingSet]:
    batches = part.batches(batch_size)
    features = embedded_batches(embed, part.images, [batch.rows for batch in batches], world)
    if world.is_main:
        features = track(features, f"embedding {part.images.folder.name}, batches of {batch_size}", len(batches))
    for place, (vectors, patches) in enumerate(features):
        yield batches[place].labelled(vectors, patches)
