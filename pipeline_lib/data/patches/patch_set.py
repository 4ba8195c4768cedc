"""Regions' patches of the training images as shards, all of them cut in one pass."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline_lib.core.parallel import Workers
from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.data.patches.cut import cut_region
from pipeline_lib.data.patches.grid import Region
from pipeline_lib.data.shards.aligned import IMAGES_A_BATCH, AlignedBatch, image_rows
from pipeline_lib.data.shards.images import MEMBERS, Format, encode_image
from pipeline_lib.data.shards.units import Job, Part, Row, run_units, units_of
from pipeline_lib.data.shards.work import open_work
from pipeline_lib.data.shards.writer import PieceWriter
from pipeline_lib.params.shards import Shards
from pipeline_lib.schemas.shard_index import SHARD_INDEX

SPLITS = ("train",)  # val and test patches are cut from the aligned images when they are embedded


def write_patch_sets(
    aligned: Path, out: Path, regions: Sequence[Region], margin_px: int, shards: Shards, workers: Workers
) -> int:
    """Cut regions of every training image, and write `out`/<region>/patches-NNNNNN.tar and index.parquet for each.

    Every image is read and decoded once. Keys are those of the aligned images, members patch (the region) and mirror (its
    mirrored counterpart, see region_patches), .png or .jpg. The bytes depend on neither the number of workers nor which was
    first, and a region's not on which others are cut. Shards that an interrupted run finished are not cut again.

    Args:
        aligned: the align stage's folder.
        out: a folder, which is replaced.
        regions: of patches.grid, unique ones; may be none.
        margin_px: pixels kept around each patch.
        shards: in which format, and of how many images a tar.
        workers: who cuts.

    Returns:
        Number of images cut.

    Raises:
        DataError: the aligned shards or their index are missing or damaged.
    """
    rows = image_rows(aligned, SPLITS) if regions else SHARD_INDEX.empty_table()
    names = [region.name for region in regions]
    settings = {"margin_px": margin_px, "shards": shards.model_dump()}
    work = open_work(out, "patches", names, settings, [aligned / "index.parquet"])
    units = units_of(rows, range(0, len(rows), shards.images_per_shard))
    # absolute, since a worker of a cluster has its own working directory
    folder = (aligned / "shards").absolute()
    function = partial(cut_part, shards=folder, regions=regions, margin_px=margin_px, format=shards.format)
    run_units(Job(work, function, IMAGES_A_BATCH), units, workers, "patches, images")
    for name in names:
        work.join_index(name, len(units), work.shards(name) / "index.parquet")
    work.finish({work.sets_folder: out})
    return len(rows)


def cut_part(rows: Sequence[Row], shards: Path, regions: Sequence[Region], margin_px: int, format: Format) -> Part:
    """The patches of all regions from some aligned images; the rows beside them are the images' keys."""
    batch = AlignedBatch(shards, table_from_rows(list(map(dict, rows)), SHARD_INDEX))
    reader, writers = batch.reader(), {region: PieceWriter() for region in regions}
    for i, row in enumerate(batch.rows()):
        image = batch.image(reader, i)
        who = {"image_id": row.image_id, "identity": row.identity, "split": row.split}
        for region, writer in writers.items():
            both = zip(("patch", "mirror"), region_patches(image, region, margin_px), strict=True)
            members = {f"{name}.{MEMBERS[format]}": encode_image(patch, format) for name, patch in both}
            writer.write(row.key, members, **who, landmarks=row.landmarks, score=row.score)
    pieces = {region.name: writer.piece() for region, writer in writers.items()}
    return Part(pieces, pa.table({"key": [row.key for row in batch.rows()]}))


def region_patches(
    image: npt.NDArray[np.uint8], region: Region, margin_px: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """The two patches that one region network learns from (RRFNet section III-A).

        patch  = image at (x, y),   mirror = image at (112 - s - x, y), mirrored left to right

    Mirroring the right-hand patch makes it look like a left-hand one: it equals the patch at (x, y) of the mirrored
    image. A region in the middle column is its own counterpart, so `mirror` is then its mirror image.

    Args:
        image: uint8 (112, 112, 3).
        region: of the left half.
        margin_px: m.

    Returns:
        Two uint8 (s + 2m, s + 2m, 3).
    """
    return cut_region(image, region, margin_px), np.ascontiguousarray(
        cut_region(image, region.mirror, margin_px)[:, ::-1]
    )
