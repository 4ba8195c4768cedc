"""Occluded images as shards: some of the training images for augmentation, test images in every kind as queries; and, as
they are, the test photographs that show a profile.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.parallel import Workers
from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.core.texts import Texts
from pipeline_lib.data.occlusion.draw import Drawing, draw_occlusions, query_images, training_kind
from pipeline_lib.data.occlusion.patch_swap import CHANGED, encode_changed, strangers_of, swap_patches
from pipeline_lib.data.occlusion.template import Template
from pipeline_lib.data.shards.aligned import IMAGES_A_BATCH, AlignedBatch, AlignedRow, image_rows
from pipeline_lib.data.shards.images import Format, encode_image, member_of
from pipeline_lib.data.shards.units import Job, Part, Row, run_units, units_of
from pipeline_lib.data.shards.work import open_work
from pipeline_lib.data.shards.writer import PieceWriter, ShardWriter
from pipeline_lib.params.occlude import PATCH_SWAP, Occlude
from pipeline_lib.params.shards import Shards
from pipeline_lib.schemas.manifest import PROFILE
from pipeline_lib.schemas.occlusions import OCCLUSIONS
from pipeline_lib.schemas.shard_index import SHARD_INDEX

if TYPE_CHECKING:
    import pyarrow as pa

SET = "occluded"


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

    def write(self, writer: ShardWriter | PieceWriter) -> dict[str, object]:
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
    workers: Workers,
    profiles: frozenset[str] = frozenset(),
    templates: Mapping[str, Template] = MappingProxyType({}),
) -> None:
    """Draw all planned occlusions on workers; write `out`/shards/occluded-NNNNNN.tar, index.parquet and occlusions.parquet.

    Members: png or jpg, and json with image_id, identity, split, kind, purpose, landmarks, score; of patch swaps also
    changed.png (patch_swap.CHANGED). The order is that of the aligned index, then of the kinds, and each drawing has its own
    random generator: the bytes depend on neither the number of workers nor which was first. Shards that an interrupted run
    finished are not drawn again.

    Args:
        aligned: the align stage's folder.
        out: a folder.
        occlude: what to draw, see planned_rows.
        shards: in which format; a shard ends with the image after whose drawings it has images_per_shard.
        workers: who draws.
        profiles: image ids of the test photographs that are queries of kind profile.
        templates: those that occlude.kinds name.

    Raises:
        DataError: the aligned shards or their index are missing or damaged.
    """
    planned = planned_rows(aligned, occlude, profiles)
    settings = {"occlude": occlude.model_dump(), "shards": shards.model_dump(), "profiles": sorted(profiles)}
    settings |= {"templates": {kind: template.digest() for kind, template in templates.items()}}
    work = open_work(out / "shards", SET, (SET,), settings, [aligned / "index.parquet"])
    # absolute, since a worker of a cluster has its own working directory
    folder = (aligned / "shards").absolute()
    function = partial(occlude_part, shards=folder, occlude=occlude, format=shards.format, templates=dict(templates))
    units = units_of(planned, _starts(planned, shards.images_per_shard))
    run_units(Job(work, function, IMAGES_A_BATCH), units, workers, "occlude, images")
    index, occlusions = work.folder / "index.parquet", work.folder / "occlusions.parquet"
    work.join_index(SET, len(units), index)
    work.join_rows(len(units), occlusions, OCCLUSIONS)
    work.finish({work.shards(SET): out / "shards", index: out / index.name, occlusions: out / occlusions.name})


def planned_rows(aligned: Path, occlude: Occlude, profiles: frozenset[str] = frozenset()) -> "pa.Table":
    """The rows of the index of the training and test images that something is drawn on, in order, and which `kinds`; and
    `stranger`, the row of the test image whose squares a patch swap takes, null without one. No profile is a stranger.

    A training image gets one kind or none (draw.training_kind), a test image of `profiles` the kind profile, a query drawn
    among the other test images (draw.query_images) every kind, any other image none.
    """
    import pyarrow as pa

    index = image_rows(aligned, ("train", "test"))
    image_ids, splits = Texts(index["image_id"]), Texts(index["split"])
    is_face = [split == "test" and name not in profiles for name, split in zip(image_ids, splits, strict=True)]
    faces = index.filter(pa.array(is_face, pa.bool_())).combine_chunks()
    queries = query_images(occlude.seed, Texts(faces["image_id"]), occlude.max_query_images)

    def kinds_of(image_id: str, split: str) -> list[str]:
        if image_id in queries:
            return list(occlude.kinds)
        if split == "test":
            return [PROFILE] if image_id in profiles else []
        kind = training_kind(occlude.seed, image_id, occlude.training_kinds, occlude.train_share)
        return [] if kind is None else [kind]

    of_each = (kinds_of(*who) for who in zip(image_ids, splits, strict=True))
    chosen = [(row, kinds) for row, kinds in enumerate(of_each) if kinds]
    rows = index.take(pa.array([row for row, _ in chosen], pa.int64()))
    planned = rows.append_column("kinds", pa.array([kinds for _, kinds in chosen], pa.list_(pa.string())))
    swapped = strangers_of(faces, queries if PATCH_SWAP in occlude.kinds else frozenset(), occlude.seed)
    taken = faces.take(pa.array(list(swapped.values()), pa.int64())).to_pylist()
    strangers = dict(zip(swapped, taken, strict=True))
    of_row = [strangers.get(name) for name in Texts(rows["image_id"])]
    return planned.append_column("stranger", pa.array(of_row, pa.struct(list(SHARD_INDEX))))


def occlude_part(
    rows: Sequence[Row], shards: Path, occlude: Occlude, format: Format, templates: Mapping[str, Template]
) -> Part:
    """All occlusions of some planned rows, in order; the rows beside them are of schemas.occlusions.OCCLUSIONS."""
    writer = PieceWriter()
    occlusions = [one.write(writer) for one in occluded_images(rows, shards, occlude, format, templates)]
    return Part({SET: writer.piece()}, table_from_rows(occlusions, OCCLUSIONS))


def occluded_images(
    rows: Sequence[Row], shards: Path, occlude: Occlude, format: Format, templates: Mapping[str, Template]
) -> Iterator[Occluded]:
    """What is drawn on some rows of planned_rows, in order; `shards` is the folder of their tars."""
    batch = batch_of(rows, shards)
    reader = batch.reader()
    for i, (row, planned) in enumerate(zip(batch.rows(), rows, strict=True)):
        image = batch.image(reader, i)
        for kind in planned["kinds"]:
            if kind == PROFILE:
                drawing = Drawing(image, row.landmarks, {"kind": PROFILE})
            elif kind == PATCH_SWAP:
                other = batch_of([planned["stranger"]], shards)
                stranger = other.image(other.reader(), 0)
                name = planned["stranger"]["image_id"]
                drawing = swap_patches(image, row.landmarks, stranger, name, occlude.seed, row.image_id)
            else:
                drawing = draw_occlusions(
                    image, row.landmarks, kind, occlude.seed, row.image_id, occlude.crop_share, templates
                )
            purpose = "train" if row.split == "train" else "query"
            text = json.dumps(drawing.drawn, sort_keys=True, allow_nan=False)
            changed = None if drawing.changed is None else encode_changed(drawing.changed)
            data = encode_image(drawing.image, format)
            yield Occluded(row, kind, purpose, data, drawing.landmarks, text, changed)


def batch_of(rows: Sequence[Row], shards: Path) -> AlignedBatch:
    """Rows of an index, with other columns or without, as a batch."""
    own = [{name: row[name] for name in SHARD_INDEX.names} for row in rows]
    return AlignedBatch(shards, table_from_rows(own, SHARD_INDEX))


def _starts(planned: "pa.Table", images_per_shard: int) -> list[int]:
    """Where units begin whose drawings are about images_per_shard: with the image that the last one is full before."""
    if not len(planned):
        return []
    num_before = np.cumsum([0, *(len(kinds) for kinds in planned["kinds"].to_pylist()[:-1])])
    return [int(row) for row in np.unique(num_before // images_per_shard, return_index=True)[1]]
