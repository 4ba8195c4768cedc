"""Training sets from the shards that stages write."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.data.patches.grid import Region
from pipeline_lib.networks.training.data import Square, TrainingSet, label_identities

if TYPE_CHECKING:
    import pyarrow as pa

WHOLE_FACE = Region(FACE_PX, 0, 0)


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
    import pyarrow.compute as pc

    from pipeline_lib.core.tables import read_table
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
    members = [(reader, row) for reader, index in enumerate(indices) for row in range(len(index))]
    labels, classes = label_identities([name for index in indices for name in index["identity"].to_pylist()])
    return TrainingSet(
        readers=[ShardReader(folder, index) for folder, index in zip(folders, indices, strict=True)],
        members=np.array(members, dtype=np.int64).reshape(-1, 1, 2),
        labels=labels,
        classes=classes,
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
    from pipeline_lib.core.tables import read_table
    from pipeline_lib.data.shards.reader import ShardReader
    from pipeline_lib.schemas.shard_index import SHARD_INDEX

    index = _train_rows(read_table(patches / "index.parquet", SHARD_INDEX))
    rows_of: dict[str, dict[str, int]] = {}
    names, keys = index["member"].to_pylist(), index["key"].to_pylist()
    for row, (key, name) in enumerate(zip(keys, names, strict=True)):
        rows_of.setdefault(key, {})[name] = row
    for key, rows in rows_of.items():
        if not {"patch.png", "mirror.png"} <= set(rows):
            allowed = "patch.png and mirror.png"
            raise DataError("A patch has no partner.", got=sorted(rows), allowed=allowed, where=f"{patches}, {key}")
    pairs = [(rows["patch.png"], rows["mirror.png"]) for rows in rows_of.values()]
    identities = index["identity"].to_pylist()
    labels, classes = label_identities([identities[left] for left, _ in pairs])
    return TrainingSet(
        readers=[ShardReader(patches, index)],
        members=np.array([[(0, left), (0, right)] for left, right in pairs], dtype=np.int64).reshape(-1, 2, 2),
        labels=labels,
        classes=classes,
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
    digest = hashlib.sha256()
    for index, folder in zip(indices, folders, strict=True):
        for name in ("key", "member", "shard", "offset", "size", "identity"):
            digest.update("\n".join(map(str, index[name].to_pylist())).encode())
        for shard in sorted(set(index["shard"].to_pylist())):
            path = folder / shard
            digest.update(f"{shard} {path.stat().st_size if path.exists() else 'missing'}\n".encode())
    return digest.hexdigest()
