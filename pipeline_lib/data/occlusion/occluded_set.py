"""Occluded images as shards: some of the training images for augmentation, test images in every kind as queries; and, as
they are, the test photographs that show a profile.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.parallel import map_batches
from pipeline_lib.core.progress import track
from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.data.occlusion.draw import Drawing, draw_occlusions, query_images, training_kind
from pipeline_lib.data.occlusion.patch_swap import CHANGED, encode_changed, strangers_of, swap_patches
from pipeline_lib.data.occlusion.template import Template
from pipeline_lib.data.shards.aligned import AlignedBatch, AlignedRow, aligned_batches
from pipeline_lib.data.shards.images import Format, encode_image, member_of
from pipeline_lib.data.shards.writer import ShardWriter
from pipeline_lib.params.occlude import PATCH_SWAP, Occlude
from pipeline_lib.params.shards import Shards
from pipeline_lib.schemas.manifest import PROFILE
from pipeline_lib.schemas.occlusions import OCCLUSIONS

if TYPE_CHECKING:
    import pyarrow as pa


class Planned(NamedTuple):
    """A batch of aligned images, the kinds that each gets, and by image id whose squares a patch swap takes."""

    batch: AlignedBatch
    kinds: list[list[str]]
    strangers: dict[str, AlignedBatch]


@dataclass(frozen=True)
class Occluded:
    """One occluded image, or a profile: `data` its bytes as encoded, landmarks (5, 2) where they are now, `drawn` JSON, and of a
    patch swap `changed`, see patch_swap.CHANGED.
    """

    row: AlignedRow
    kind: str
    purpose: str
    data: bytes
    landmarks: npt.NDArray[np.float32]
    drawn: str
    changed: bytes | None = None

    @property
    def key(self) -> str:
        """The WebDataset key, <image_id>+<kind>."""
        return f"{self.row.image_id}+{self.kind}"

    def write(self, writer: ShardWriter) -> dict[str, object]:
        """Append it to a shard set, members png or jpg, json and perhaps changed.png; returns its row of OCCLUSIONS."""
        row = self.row
        who = {"image_id": row.image_id, "identity": row.identity, "split": row.split}
        about = {"kind": self.kind, "purpose": self.purpose}
        found = {"landmarks": self.landmarks.tolist(), "score": row.score}
        text = json.dumps(who | about | found, sort_keys=True).encode()
        members = {member_of(self.data): self.data, "json": text}
        members |= {} if self.changed is None else {CHANGED: self.changed}
        writer.write(self.key, members, **who, landmarks=self.landmarks, score=row.score)
        return {"key": self.key, "image_id": row.image_id, **about, "drawn": self.drawn}


def write_occluded_set(
    aligned: Path,
    out: Path,
    occlude: Occlude,
    shards: Shards,
    num_workers: int,
    scheduler: str | None = None,
    profiles: frozenset[str] = frozenset(),
    templates: Mapping[str, Template] = MappingProxyType({}),
) -> tuple["pa.Table", "pa.Table"]:
    """Draw all planned occlusions on Dask workers and write `out/occluded-NNNNNN.tar`.

    Members: png or jpg, and json with image_id, identity, split, kind, purpose, landmarks, score; of patch swaps also
    changed.png (patch_swap.CHANGED). The order is that of the aligned index, then of the kinds, and each drawing has its own
    random generator: the bytes depend on neither the number of workers nor which was first.

    Args:
        aligned: the align stage's folder.
        out: an existing, empty folder.
        occlude: what to draw, see planned_batches.
        shards: in which format, and how many a tar.
        num_workers, scheduler: see core.parallel.map_batches.
        profiles: image ids of the test photographs that are queries of kind profile.
        templates: those that occlude.kinds name.

    Returns:
        The shard index (schemas.shard_index.SHARD_INDEX) and what was drawn (schemas.occlusions.OCCLUSIONS).

    Raises:
        DataError: the aligned shards or their index are missing or damaged.
    """
    planned = planned_batches(aligned, occlude, profiles)
    rows: list[dict[str, object]] = []
    with ShardWriter(out, "occluded", shards.images_per_shard) as writer:
        function = partial(occlude_batch, occlude=occlude, templates=templates, format=shards.format)
        done = map_batches(function, planned, num_workers, scheduler)
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
        kind = training_kind(occlude.seed, image_id, occlude.training_kinds, occlude.train_share)
        return [] if kind is None else [kind]

    swapped = _strangers(batches, profiles, queries if PATCH_SWAP in occlude.kinds else frozenset(), occlude.seed)
    return [
        Planned(
            batch,
            [kinds_of(*who) for who in ids],
            {image_id: swapped[image_id] for image_id, _ in ids if image_id in swapped},
        )
        for batch, ids in zip(batches, whose, strict=True)
    ]


def _strangers(
    batches: list[AlignedBatch], profiles: frozenset[str], queries: frozenset[str], seed: int
) -> dict[str, AlignedBatch]:
    """Of each query that is swapped the stranger's image, a batch of one; strangers are test images, and no profiles."""
    if not queries:
        return {}
    import pyarrow as pa
    import pyarrow.compute as pc

    index = pa.concat_tables([batch.index for batch in batches]).combine_chunks()
    others = pc.invert(pc.is_in(index["image_id"], value_set=pa.array(sorted(profiles), pa.string())))
    images = index.filter(pc.and_(pc.equal(index["split"], "test"), others)).combine_chunks()
    shards = batches[0].shards
    return {
        query: AlignedBatch(shards, images.take([row])) for query, row in strangers_of(images, queries, seed).items()
    }


def occlude_batch(
    planned: Planned, occlude: Occlude, templates: Mapping[str, Template], format: Format
) -> list[Occluded]:
    """All occlusions of a batch's images, in order; images that get none are not read."""
    batch, kinds_of_rows, strangers = planned
    reader = batch.reader()
    done = []
    for i, (row, kinds) in enumerate(zip(batch.rows(), kinds_of_rows, strict=True)):
        if not kinds:
            continue
        image = batch.image(reader, i)
        for kind in kinds:
            if kind == PROFILE:
                drawing = Drawing(image, row.landmarks, {"kind": PROFILE})
            elif kind == PATCH_SWAP:
                stranger = strangers[row.image_id]
                [other] = stranger.rows()
                face = stranger.image(stranger.reader(), 0)
                drawing = swap_patches(image, row.landmarks, face, other.image_id, occlude.seed, row.image_id)
            else:
                settings = (occlude.seed, row.image_id, occlude.crop_share, templates)
                drawing = draw_occlusions(image, row.landmarks, kind, *settings)
            purpose = "train" if row.split == "train" else "query"
            text = json.dumps(drawing.drawn, sort_keys=True, allow_nan=False)
            changed = None if drawing.changed is None else encode_changed(drawing.changed)
            data = encode_image(drawing.image, format)
            done.append(Occluded(row, kind, purpose, data, drawing.landmarks, text, changed))
    return done
