"""Training sets from the shards that stages write."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.data.patches.grid import Region
from pipeline_lib.networks.training.data import Square, TrainingSet

if TYPE_CHECKING:
    import pyarrow as pa

WHOLE_FACE = Region(FACE_PX, 0, 0)
DIGEST_ROWS = 65536  # that are Python's at a time
SIDES = ("patch.png", "mirror.png")  # of a patch shard's sample


def training_faces(aligned: Path, occluded: Path | None, regions: Sequence[Region] = (WHOLE_FACE,)) -> TrainingSet:
    """The aligned faces of the training identities and, if given, the occluded ones that were drawn for training.

    A region of a mirrored face shows the mirrored region of its other half, so the views hold what training_regions
    reads from patch shards, pixel for pixel.

    Args:
        aligned: folder with index.parquet and shards/ of stage align.
        occluded: folder with index.parquet, occlusions.parquet and shards/ of stage occlude, or None.
        regions: the views, one for each network that learns from these faces.

    Raises:
        DataError: a table is missing or broken, or there is nothing to train on.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from pipeline_lib.core.tables import read_table
    from pipeline_lib.core.texts import Texts
    from pipeline_lib.data.shards.reader import ShardReader
    from pipeline_lib.schemas.occlusions import OCCLUSIONS
    from pipeline_lib.schemas.shard_index import SHARD_INDEX

    indices = [_images(read_table(aligned / "index.parquet", SHARD_INDEX))]
    folders = [aligned / "shards"]
    if occluded is not None:
        drawn = read_table(occluded / "occlusions.parquet", OCCLUSIONS)
        keys = drawn.filter(pc.equal(drawn["purpose"], "train"))["key"]
        index = _images(read_table(occluded / "index.parquet", SHARD_INDEX))
        indices.append(index.filter(pc.is_in(index["key"], value_set=keys.combine_chunks())))
        folders.append(occluded / "shards")
    members = [np.stack([np.full(len(index), reader), np.arange(len(index))]) for reader, index in enumerate(indices)]
    labels, classes = Texts(pa.concat_tables(indices)["identity"]).numbered()
    return TrainingSet(
        readers=[ShardReader(folder, index) for folder, index in zip(folders, indices, strict=True)],
        members=np.concatenate(members, axis=1).T[:, None],
        labels=labels,
        classes=tuple(classes),
        stored_px=FACE_PX,
        views=tuple(Square(region.size_px, region.x, region.y) for region in regions),
        max_shift_px=None,
        digest=_digest(indices, folders),
    )


def training_regions(patches: Path, region: Region, margin_px: int) -> TrainingSet:
    """One position's patches of the training identities: the left-hand patch, and its mirrored right-hand partner.

    Args:
        patches: folder with index.parquet and shards of stage shard_patches, for this position.
        region: the position.
        margin_px: the margin the patches were cut with.

    Raises:
        DataError: a table is missing or broken, an image has not both members, or there is nothing to train on.
    """
    import pyarrow.compute as pc

    from pipeline_lib.core.tables import read_table
    from pipeline_lib.core.texts import MISSING, Texts
    from pipeline_lib.data.shards.reader import ShardReader
    from pipeline_lib.schemas.shard_index import SHARD_INDEX

    index = _train_rows(read_table(patches / "index.parquet", SHARD_INDEX))
    keys = index["key"].combine_chunks().dictionary_encode()
    sides = np.full((len(keys.dictionary), len(SIDES)), MISSING)
    for side, member in enumerate(SIDES):
        rows = np.flatnonzero(pc.equal(index["member"], member).to_numpy())
        sides[keys.indices.to_numpy(zero_copy_only=False)[rows], side] = rows
    alone = np.flatnonzero((sides == MISSING).any(axis=1))
    if len(alone):
        key = keys.dictionary[int(alone[0])].as_py()
        got = [name for name, row in zip(SIDES, sides[alone[0]], strict=True) if row != MISSING]
        raise DataError("A patch has no partner.", got=got, allowed=" and ".join(SIDES), where=f"{patches}, {key}")
    labels, classes = Texts(index["identity"]).take(sides[:, 0]).numbered()
    return TrainingSet(
        readers=[ShardReader(patches, index)],
        members=np.stack([np.zeros_like(sides), sides], axis=2),
        labels=labels,
        classes=tuple(classes),
        stored_px=region.size_px + 2 * margin_px,
        views=(Square(region.size_px, margin_px, margin_px),),
        max_shift_px=margin_px,
        digest=_digest([index], [patches]),
    )


def _train_rows(index: "pa.Table") -> "pa.Table":
    import pyarrow.compute as pc

    return index.filter(pc.equal(index["split"], "train"))


def _images(index: "pa.Table") -> "pa.Table":
    import pyarrow.compute as pc

    rows = _train_rows(index)
    return rows.filter(pc.equal(rows["member"], "png"))


def _digest(indices: "list[pa.Table]", folders: list[Path]) -> str:
    """SHA-256 of what the indices say of each image (name, identity, place, size) and of the sizes of the shards.

    The images themselves are not read, which would cost a pass over the data: PNGs whose pixels change keep neither
    their sizes nor, therefore, their neighbours' places.
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
