"""Training sets from the shards that stages write."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.data.patches.grid import Region
from pipeline_lib.data.shards.digest import shards_digest, training_images
from pipeline_lib.data.shards.images import is_image
from pipeline_lib.networks.training.data import Square, TrainingSet

if TYPE_CHECKING:
    import pyarrow as pa

WHOLE_FACE = Region(FACE_PX, 0, 0)
SIDES = ("patch", "mirror")  # the images of a patch shard's sample


def training_faces(
    aligned: Path, occluded: Path | None, regions: Sequence[Region] = (WHOLE_FACE,), teacher: Path | None = None
) -> TrainingSet:
    """The aligned faces of the training identities and, if given, the occluded ones that were drawn for training.

    A region of a mirrored face shows the mirrored region of its other half, so the views hold what training_regions
    reads from patch shards, pixel for pixel.

    Args:
        aligned: folder with index.parquet and shards/ of stage align.
        occluded: folder with index.parquet, occlusions.parquet and shards/ of stage occlude, or None.
        regions: the views, one for each network that learns from these faces.
        teacher: folder of stage embed_teacher, whose embeddings then stand in the labels' place; an occluded face is to give
            that of the same face without occlusion.

    Raises:
        DataError: a table is missing or broken, there is nothing to train on, or the teacher saw other images.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from pipeline_lib.core.tables import read_table
    from pipeline_lib.core.texts import Texts
    from pipeline_lib.data.shards.reader import ShardReader
    from pipeline_lib.networks.embeddings.teacher import Teacher
    from pipeline_lib.schemas.occlusions import OCCLUSIONS
    from pipeline_lib.schemas.shard_index import SHARD_INDEX

    indices = [training_images(read_table(aligned / "index.parquet", SHARD_INDEX))]
    folders = [aligned / "shards"]
    if occluded is not None:
        drawn = read_table(occluded / "occlusions.parquet", OCCLUSIONS)
        keys = drawn.filter(pc.equal(drawn["purpose"], "train"))["key"]
        index = training_images(read_table(occluded / "index.parquet", SHARD_INDEX))
        indices.append(index.filter(pc.is_in(index["key"], value_set=keys.combine_chunks())))
        folders.append(occluded / "shards")
    together = pa.concat_tables(indices)
    taught = (
        None
        if teacher is None
        else Teacher(teacher, Texts(together["image_id"]), shards_digest(indices[:1], folders[:1]))
    )
    members = [np.stack([np.full(len(index), reader), np.arange(len(index))]) for reader, index in enumerate(indices)]
    labels, classes = Texts(together["identity"]).numbered()
    return TrainingSet(
        readers=[ShardReader(folder, index) for folder, index in zip(folders, indices, strict=True)],
        members=np.concatenate(members, axis=1).T[:, None],
        labels=labels,
        classes=tuple(classes),
        stored_px=FACE_PX,
        views=tuple(Square(region.size_px, region.x, region.y) for region in regions),
        max_shift_px=None,
        digest=shards_digest(indices, folders),
        teacher=taught,
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
    from pipeline_lib.core.texts import MISSING, Texts
    from pipeline_lib.data.shards.reader import ShardReader
    from pipeline_lib.schemas.shard_index import SHARD_INDEX

    index = _train_rows(read_table(patches / "index.parquet", SHARD_INDEX))
    keys = index["key"].combine_chunks().dictionary_encode()
    sides = np.full((len(keys.dictionary), len(SIDES)), MISSING)
    for side, member in enumerate(SIDES):
        rows = np.flatnonzero(is_image(index, member).to_numpy())
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
        digest=shards_digest([index], [patches]),
    )


def _train_rows(index: "pa.Table") -> "pa.Table":
    import pyarrow.compute as pc

    return index.filter(pc.equal(index["split"], "train"))
