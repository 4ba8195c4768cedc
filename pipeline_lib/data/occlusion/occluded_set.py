"""Occluded images as shards: some of the training images for augmentation, test images in every kind as queries; and, as
they are, the test photographs that show a profile.
"""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.parallel import map_batches
from pipeline_lib.core.progress import track
from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.data.occlusion.draw import Drawing, draw_occlusions, query_images, training_kind
from pipeline_lib.data.shards.aligned import AlignedBatch, AlignedRow, aligned_batches
from pipeline_lib.data.shards.images import Format, encode_image, member_of
from pipeline_lib.data.shards.writer import ShardWriter
from pipeline_lib.params.occlude import Occlude
from pipeline_lib.params.shards import Shards
from pipeline_lib.schemas.manifest import PROFILE
from pipeline_lib.schemas.occlusions import OCCLUSIONS

if TYPE_CHECKING:
    import pyarrow as pa


Planned = tuple[AlignedBatch, list[list[str]]]


@dataclass(frozen=True)
class Occluded:
    """One occluded image, or a profile: `data` its bytes as encoded, landmarks (5, 2) where they are now, `drawn` JSON."""

    row: AlignedRow
    kind: str
    purpose: str
    data: bytes
    landmarks: npt.NDArray[np.float32]
    drawn: str

    @property
    def key(self) -> str:
        """The WebDataset key, <image_id>+<kind>."""
        return f"{self.row.image_id}+{self.kind}"

    def write(self, writer: ShardWriter) -> dict[str, object]:
        """Append it to a shard set, members png or jpg, and json; returns its row of schemas.occlusions.OCCLUSIONS."""
        row = self.row
        who = {"image_id": row.image_id, "identity": row.identity, "split": row.split}
        about = {"kind": self.kind, "purpose": self.purpose}
        found = {"landmarks": self.landmarks.tolist(), "score": row.score}
        text = json.dumps(who | about | found, sort_keys=True).encode()
        writer.write(
            self.key, {member_of(self.data): self.data, "json": text}, **who, landmarks=self.landmarks, score=row.score
        )
        return {"key": self.key, "image_id": row.image_id, **about, "drawn": self.drawn}


def write_occluded_set(
    aligned: Path,
    out: Path,
    occlude: Occlude,
    shards: Shards,
    num_workers: int,
    scheduler: str | None = None,
    profiles: frozenset[str] = frozenset(),
) -> tuple["pa.Table", "pa.Table"]:
    """Draw all planned occlusions on Dask workers and write `out/occluded-NNNNNN.tar`.

    Members: png or jpg, and json with image_id, identity, split, kind, purpose, landmarks, score. The order is that of the
    aligned index, then of the kinds, and each drawing has its own random generator: the bytes depend on neither the
    number of workers nor which was first.

    Args:
        aligned: the align stage's folder.
        out: an existing, empty folder.
        occlude: what to draw, see planned_batches.
        shards: in which format, and how many a tar.
        num_workers, scheduler: see core.parallel.map_batches.
        profiles: image ids of the test photographs that are queries of kind profile.

    Returns:
        The shard index (schemas.shard_index.SHARD_INDEX) and what was drawn (schemas.occlusions.OCCLUSIONS).

    Raises:
        DataError: the aligned shards or their index are missing or damaged.
    """
    planned = planned_batches(aligned, occlude, profiles)
    rows: list[dict[str, object]] = []
    with ShardWriter(out, "occluded", shards.images_per_shard) as writer:
        done = map_batches(
            partial(occlude_batch, occlude=occlude, format=shards.format), planned, num_workers, scheduler
        )
        for occluded_images in track(done, "occlusion batches", total=len(planned)):
            rows += [occluded.write(writer) for occluded in occluded_images]
    return writer.index(), table_from_rows(rows, OCCLUSIONS)


def planned_batches(aligned: Path, occlude: Occlude, profiles: frozenset[str] = frozenset()) -> list[Planned]:
    """The training and test images in batches, with the kinds each image gets.

    A training image gets one kind or none (draw.training_kind), a test image of `profiles` the kind profile, a query drawn
    among the other test images (draw.query_images) every kind, any other image none.
    """
    batches = list(aligned_batches(aligned, ("train", "test")))
    whose = [
        list(zip(*(batch.index[name].to_pylist() for name in ("image_id", "split")), strict=True)) for batch in batches
    ]
    test_ids = (
        image_id for batch in whose for image_id, split in batch if split == "test" and image_id not in profiles
    )
    queries = query_images(occlude.seed, test_ids, occlude.max_query_images)

    def kinds_of(image_id: str, split: str) -> list[str]:
        if image_id in queries:
            return list(occlude.kinds)
        if split == "test":
            return [PROFILE] if image_id in profiles else []
        kind = training_kind(occlude.seed, image_id, list(occlude.kinds), occlude.train_share)
        return [] if kind is None else [kind]

    return [(batch, [kinds_of(*who) for who in ids]) for batch, ids in zip(batches, whose, strict=True)]


def occlude_batch(planned: Planned, occlude: Occlude, format: Format) -> list[Occluded]:
    """All occlusions of a batch's images, in order; images that get none are not read."""
    batch, kinds_of_rows = planned
    reader = batch.reader()
    done = []
    for i, (row, kinds) in enumerate(zip(batch.rows(), kinds_of_rows, strict=True)):
        if not kinds:
            continue
        image = batch.image(reader, i)
        for kind in kinds:
            drawing = (
                Drawing(image, row.landmarks, {"kind": PROFILE})
                if kind == PROFILE
                else draw_occlusions(image, row.landmarks, kind, occlude.seed, row.image_id, occlude.crop_share)
            )
            purpose = "train" if row.split == "train" else "query"
            text = json.dumps(drawing.drawn, sort_keys=True, allow_nan=False)
            done.append(Occluded(row, kind, purpose, encode_image(drawing.image, format), drawing.landmarks, text))
    return done
