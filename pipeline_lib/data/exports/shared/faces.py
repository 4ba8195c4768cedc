"""The aligned faces that an export writes, and the pairs among them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import read_table
from pipeline_lib.data.shards.images import is_image
from pipeline_lib.data.shards.reader import ShardReader
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.shard_index import SHARD_INDEX


@dataclass(frozen=True)
class ExportedFaces:
    """Faces by identity, then by image id.

    Attributes:
        image_ids, identities: of each.
        pairs: schemas.pairs.PAIRS, those whose two images are here, in their order.
        reader: read(i) gives the bytes of face i's image, PNG or JPEG, as they stand in the shards.
    """

    image_ids: Sequence[str]
    identities: Sequence[str]
    pairs: pa.Table
    reader: ShardReader


def exported_faces(aligned: Path, split: str | None, pairs: Path | None, protocol: str | None) -> ExportedFaces:
    """The faces of the align stage's folder.

    Args:
        aligned: data/align.
        split: train, val or test; None for all.
        pairs: pairs.parquet; None for no pairs.
        protocol: whose pairs; None for all.

    Raises:
        DataError: a table is missing or damaged, or no face is left.
    """
    index = read_table(aligned / "index.parquet", SHARD_INDEX)
    index = index.filter(is_image(index))
    if split is not None:
        index = index.filter(pc.equal(index["split"], split))
    if not index.num_rows:
        raise DataError("There is no face to export.", got=f"split {split or 'any'}", where=aligned)
    index = index.sort_by([("identity", "ascending"), ("image_id", "ascending")])
    found = PAIRS.empty_table() if pairs is None else read_table(pairs, PAIRS)
    if protocol is not None:
        found = found.filter(pc.equal(found["protocol"], protocol))
    here = [pc.is_in(found[side], index["image_id"].combine_chunks()) for side in ("image_a", "image_b")]
    found = found.filter(pc.and_(*here))
    reader = ShardReader(aligned / "shards", index)
    return ExportedFaces(index["image_id"].to_pylist(), index["identity"].to_pylist(), found, reader)
