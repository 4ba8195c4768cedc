"""Occluded images as shards: some of the training images for augmentation, test images in every kind as queries."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.core.parallel import map_batches
from pipeline_lib.core.progress import track
from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.data.occlusion.crop import crop_landmarks
from pipeline_lib.data.occlusion.draw import draw_occlusion, image_rng, query_images, training_kind
from pipeline_lib.data.shards.aligned import AlignedBatch, AlignedRow, aligned_batches
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.data.shards.writer import ShardWriter
from pipeline_lib.params.occlude import Occlude
from pipeline_lib.schemas.occlusions import OCCLUSIONS

if TYPE_CHECKING:
    import pyarrow as pa


Planned = tuple[AlignedBatch, list[list[str]]]


@dataclass(frozen=True)
class Occluded:
    """One occluded image: `png` its bytes, landmarks (5, 2) where they are now, `drawn` JSON."""

    row: AlignedRow
    kind: str
    purpose: str
    png: bytes
    landmarks: npt.NDArray[np.float32]
    drawn: str

    @property
    def key(self) -> str:
        """The WebDataset key, <image_id>+<kind>."""
        return f"{self.row.image_id}+{self.kind}"


def write_occluded_set(
    aligned: Path, out: Path, occlude: Occlude, num_workers: int, scheduler: str | None = None
) -> tuple["pa.Table", "pa.Table"]:
    """Draw all planned occlusions on Dask workers and write `out/occluded-NNNNNN.tar`.

    Members: png, and json with image_id, identity, split, kind, purpose, landmarks, score. The order is that of the
    aligned index, then of the kinds, and each drawing has its own random generator: the bytes depend on neither the
    number of workers nor which was first.

    Args:
        aligned: the align stage's folder.
        out: an existing, empty folder.
        occlude: what to draw, see planned_batches.
        num_workers, scheduler: see core.parallel.map_batches.

    Returns:
        The shard index (schemas.shard_index.SHARD_INDEX) and what was drawn (schemas.occlusions.OCCLUSIONS).

    Raises:
        DataError: the aligned shards or their index are missing or damaged.
    """
    planned = planned_batches(aligned, occlude)
    rows: list[dict[str, object]] = []
    with ShardWriter(out, "occluded", occlude.images_per_shard) as writer:
        done = map_batches(partial(occlude_batch, occlude=occlude), planned, num_workers, scheduler)
        for occluded_images in track(done, "occlusion batches", total=len(planned)):
            for occluded in occluded_images:
                _write(writer, occluded)
                rows.append(
                    {
                        "key": occluded.key,
                        "image_id": occluded.row.image_id,
                        "kind": occluded.kind,
                        "purpose": occluded.purpose,
                        "drawn": occluded.drawn,
                    }
                )
    return writer.index(), table_from_rows(rows, OCCLUSIONS)


def planned_batches(aligned: Path, occlude: Occlude) -> list[Planned]:
    """The training and test images in batches, with the kinds each image gets.

    A training image gets one kind or none (draw.training_kind), a query (draw.query_images) every kind, any other image none.
    """
    batches = list(aligned_batches(aligned, ("train", "test")))
    whose = [
        list(zip(*(batch.index[name].to_pylist() for name in ("image_id", "split")), strict=True)) for batch in batches
    ]
    test_ids = (image_id for batch in whose for image_id, split in batch if split == "test")
    queries = query_images(occlude.seed, test_ids, occlude.max_query_images)

    def kinds_of(image_id: str, split: str) -> list[str]:
        if image_id in queries:
            return list(occlude.kinds)
        kind = (
            training_kind(occlude.seed, image_id, list(occlude.kinds), occlude.train_share)
            if split == "train"
            else None
        )
        return [] if kind is None else [kind]

    return [(batch, [kinds_of(*who) for who in ids]) for batch, ids in zip(batches, whose, strict=True)]


def occlude_batch(planned: Planned, occlude: Occlude) -> list[Occluded]:
    """All occlusions of a batch's images, in order; images that get none are not read."""
    batch, kinds_of_rows = planned
    reader = batch.reader()
    done = []
    for i, (row, kinds) in enumerate(zip(batch.rows(), kinds_of_rows, strict=True)):
        if not kinds:
            continue
        image = batch.image(reader, i)
        for kind in kinds:
            rng = image_rng(occlude.seed, row.image_id, kind)
            picture, drawn = draw_occlusion(image, row.landmarks, kind, rng, occlude.crop_share)
            box = drawn.get("box")
            landmarks = crop_landmarks(row.landmarks, box, FACE_PX) if isinstance(box, list) else row.landmarks
            purpose = "train" if row.split == "train" else "query"
            text = json.dumps(drawn, sort_keys=True, allow_nan=False)
            done.append(Occluded(row, kind, purpose, encode_png(picture), landmarks, text))
    return done


def _write(writer: ShardWriter, occluded: Occluded) -> None:
    row = occluded.row
    label = {
        "image_id": row.image_id,
        "identity": row.identity,
        "split": row.split,
        "kind": occluded.kind,
        "purpose": occluded.purpose,
        "landmarks": occluded.landmarks.tolist(),
        "score": row.score,
    }
    writer.write(
        occluded.key,
        {"png": occluded.png, "json": json.dumps(label, sort_keys=True).encode()},
        image_id=row.image_id,
        identity=row.identity,
        split=row.split,
        landmarks=occluded.landmarks,
        score=row.score,
    )
