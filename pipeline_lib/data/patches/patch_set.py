"""A region's patches of the training images as shards."""

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.parallel import map_batches
from pipeline_lib.core.progress import track
from pipeline_lib.core.tables import write_table
from pipeline_lib.data.patches.cut import cut_region
from pipeline_lib.data.patches.grid import Region
from pipeline_lib.data.shards.aligned import AlignedBatch, AlignedRow, aligned_batches
from pipeline_lib.data.shards.images import MEMBERS, Format, encode_image
from pipeline_lib.data.shards.writer import ShardWriter
from pipeline_lib.params.shards import Shards
from pipeline_lib.schemas.shard_index import SHARD_INDEX

SPLITS = ("train",)  # val and test patches are cut from the aligned images when they are embedded
FEW_BATCHES = 32  # are cut before Dask and its processes have started
Patches = list[tuple[AlignedRow, dict[str, bytes]]]


def write_patch_set(
    aligned: Path,
    out: Path,
    region: Region,
    margin_px: int,
    shards: Shards,
    num_workers: int,
    scheduler: str | None = None,
) -> int:
    """Cut a region of every training image and write `out`/patches-NNNNNN.tar and index.parquet.

    Keys are those of the aligned images, members patch (the region) and mirror (its mirrored counterpart, see region_patches),
    .png or .jpg. This process alone writes, in the order of the aligned index, so the bytes depend on neither the number of
    workers nor which was first.

    Args:
        aligned: the align stage's folder.
        out: an existing, empty folder.
        region: of patches.grid, a unique one.
        margin_px: pixels kept around each patch.
        shards: in which format, and of how many images a tar.
        num_workers, scheduler: see core.parallel.map_batches.

    Returns:
        Number of images cut.

    Raises:
        DataError: the aligned shards or their index are missing or damaged.
    """
    batches = list(aligned_batches(aligned, SPLITS))
    cut = partial(cut_batch, region=region, margin_px=margin_px, format=shards.format)
    done = map_batches(cut, batches, num_workers, scheduler) if len(batches) > FEW_BATCHES else map(cut, batches)
    num_images = 0
    with ShardWriter(out, "patches", shards.images_per_shard) as writer:
        for patches in track(done, "patch batches", total=len(batches)):
            num_images += len(patches)
            for row, members in patches:
                who = {"image_id": row.image_id, "identity": row.identity, "split": row.split}
                writer.write(row.key, members, **who, landmarks=row.landmarks, score=row.score)
    write_table(out / "index.parquet", writer.index(), SHARD_INDEX)
    return num_images


def cut_batch(batch: AlignedBatch, region: Region, margin_px: int, format: Format) -> Patches:
    """For each image of a batch its row and the encoded members."""
    reader = batch.reader()
    done: Patches = []
    for i, row in enumerate(batch.rows()):
        patch, mirror = region_patches(batch.image(reader, i), region, margin_px)
        both = {"patch": encode_image(patch, format), "mirror": encode_image(mirror, format)}
        done.append((row, {f"{name}.{MEMBERS[format]}": data for name, data in both.items()}))
    return done


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
