"""The search for near-duplicates: embeds all of an aligned set, and copies of some images, which say how near a copy is."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline_lib.core.files import write_json
from pipeline_lib.core.progress import track
from pipeline_lib.core.tables import write_table
from pipeline_lib.core.world import World
from pipeline_lib.networks.embedding.batches import Readable, embedded_batches
from pipeline_lib.networks.embedding.extract import Embed, Floats, Images, shapes
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.near_duplicates import (
    COPIES,
    SAME_PIXELS,
    Pairs,
    calibrate,
    evenly_spread,
    near_pairs,
    pixel_correlations,
)
from pipeline_lib.schemas.near_duplicates import NEAR_DUPLICATES

TABLE, FIGURES = "near_duplicates.parquet", "near_duplicates.json"
MOST_COPIED = 200  # images whose copies are made
MOST_LISTED = 5000
COMPARED_AT_ONCE = 256


def find_near_duplicates(out: Path, embed: Embed, images: ShardImages, batch_size: int, world: World) -> None:
    """Write `out`/near_duplicates.parquet (schemas.near_duplicates.NEAR_DUPLICATES), and near_duplicates.json with what was
    searched: threshold, found (of each kind of made copies the share that it finds), num_images, num_pairs at or above it,
    num_listed, and num_same_pixels, of those listed that are alike in their pixels, too.

    Vectors lie in a file while they are compared, which the system keeps in memory as long as there is room.

    Args:
        out: an existing folder.
        embed: without patch features.
        images: the aligned images, all of them.
        batch_size: images a forward pass.
        world: all ranks call this with the same arguments; rank 0 compares and writes.

    Raises:
        DataError: an image is unreadable, or an embedding is zero or not finite.
    """
    dim, _, _ = shapes(embed)
    copied = list(evenly_spread(len(images), MOST_COPIED))
    with ExitStack() as stack:
        vectors: Floats | None = None
        if world.is_main:  # the other ranks may be here before the folder is
            file = stack.enter_context(tempfile.TemporaryFile(dir=out))
            vectors = np.memmap(file, np.float32, "w+", shape=(len(images), dim))
        _embed_into(vectors, embed, images, range(len(images)), batch_size, world)
        copies = {kind: np.empty((len(copied), dim), np.float32) for kind in COPIES}
        for kind, made in copies.items():
            _embed_into(made, embed, Copied(images, kind), copied, batch_size, world)
        if vectors is None:
            return
        calibration = calibrate(vectors[copied], copies)
        codes = images.identities.numbered()[0], images.splits.numbered()[0]
        pairs = near_pairs(vectors, *codes, calibration.threshold, MOST_LISTED, world.device)
    correlations = np.concatenate([np.zeros(0, np.float32), *_correlations(images, pairs)])
    write_table(out / TABLE, _table(images, pairs, correlations), NEAR_DUPLICATES)
    write_json(
        out / FIGURES,
        {
            "threshold": calibration.threshold,
            "found": dict(calibration.found),
            "num_images": len(images),
            "num_pairs": pairs.num_found,
            "num_listed": len(pairs.first),
            "num_same_pixels": int((correlations >= SAME_PIXELS).sum()),
        },
    )


class Copied:
    """Images of a set as copies of one kind (near_duplicates.COPIES)."""

    def __init__(self, images: ShardImages, kind: str) -> None:
        self._images, self._copy = images, COPIES[kind]

    def read(self, rows: Sequence[int]) -> Images:
        """As ShardImages.read."""
        return np.stack([self._copy(image) for image in self._images.read(rows)])


def _embed_into(
    vectors: Floats | None, embed: Embed, images: Readable, rows: Sequence[int], batch_size: int, world: World
) -> None:
    """Fill `vectors` with those of `rows`, on rank 0."""
    batches = [rows[first : first + batch_size] for first in range(0, len(rows), batch_size)]
    features = embedded_batches(embed, images, batches, world)
    if world.is_main:
        features = track(features, f"near-duplicates, batches of {batch_size}", len(batches))
    first = 0
    for found, _ in features:
        assert vectors is not None, "rank 0 alone is given features"
        vectors[first : first + len(found)] = found
        first += len(found)


def _correlations(images: ShardImages, pairs: Pairs) -> Iterator[Floats]:
    for first in range(0, len(pairs.first), COMPARED_AT_ONCE):
        here = slice(first, first + COMPARED_AT_ONCE)
        sides = (images.read(side[here].tolist()) for side in (pairs.first, pairs.second))
        yield pixel_correlations(*sides)


def _table(images: ShardImages, pairs: Pairs, correlations: Floats) -> pa.Table:
    columns: dict[str, object] = {}
    for side, rows in (("a", pairs.first), ("b", pairs.second)):
        for name, texts in (("image", images.image_ids), ("identity", images.identities), ("split", images.splits)):
            columns[f"{name}_{side}"] = texts.take(rows).column
    return pa.table({**columns, "cosine": pairs.cosine, "pixel_correlation": correlations}, schema=NEAR_DUPLICATES)
