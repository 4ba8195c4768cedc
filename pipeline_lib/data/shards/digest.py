"""The training images of a table of shards, and which images it names, as one short text."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_lib.data.shards.images import is_image

if TYPE_CHECKING:
    import pyarrow as pa

DIGEST_ROWS = 65536  # that are Python's at a time


def training_images(index: "pa.Table") -> "pa.Table":
    """The rows of the images of split train."""
    import pyarrow.compute as pc

    return index.filter(pc.and_(pc.equal(index["split"], "train"), is_image(index)))


def shards_digest(indices: "Sequence[pa.Table]", folders: Sequence[Path]) -> str:
    """SHA-256 of what the indices say of each image (name, identity, place, size) and of the sizes of the shards; hex.

    The images themselves are not read, which would cost a pass over the data: images whose pixels change keep neither
    their sizes nor, therefore, their neighbours' places.

    Args:
        indices: rows of schemas.shard_index.SHARD_INDEX.
        folders: where the shards of each lie.
    """
    import pyarrow.compute as pc

    digest = hashlib.sha256()
    for index, folder in zip(indices, folders, strict=True):
        whole = index.select(["key", "member", "shard", "offset", "size", "identity"]).combine_chunks()
        for batch in whole.to_batches(DIGEST_ROWS):
            for column in batch.columns:
                digest.update("\n".join(map(str, column.to_pylist())).encode())
        for shard in sorted(pc.unique(index["shard"]).to_pylist()):
            path = folder / shard
            digest.update(f"{shard} {path.stat().st_size if path.exists() else 'missing'}\n".encode())
    return digest.hexdigest()
