"""The training images of a table of shards, and which images it names, as one short text."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline_lib.data.shards.images import is_image

if TYPE_CHECKING:
    import pyarrow as pa

DIGEST_ROWS = 65536  # that are Python's at a time


def training_images(index: "pa.Table") -> "pa.Table":
    """The rows of the images of split train."""
    import pyarrow.compute as pc

    return index.filter(pc.and_(pc.equal(index["split"], "train"), is_image(index)))


def shards_digest(indices: "Sequence[pa.Table]") -> str:
    """SHA-256 of what the indices say of each image (name, identity, place, size), wherever the shards lie; hex.

    The images themselves are not read, which would cost a pass over the data: images whose pixels change keep neither
    their sizes nor, therefore, their neighbours' places.

    Args:
        indices: rows of schemas.shard_index.SHARD_INDEX.
    """
    digest = hashlib.sha256()
    for index in indices:
        whole = index.select(["key", "member", "shard", "offset", "size", "identity"]).combine_chunks()
        for batch in whole.to_batches(DIGEST_ROWS):
            for column in batch.columns:
                digest.update("\n".join(map(str, column.to_pylist())).encode())
    return digest.hexdigest()
