"""Align: every photograph of the manifest becomes one 112x112 face in a shard, or a row in the rejects table."""

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Annotated

import pyarrow.compute as pc
import typer

from pipeline_lib.core.files import atomic_dir
from pipeline_lib.core.parallel import map_batches
from pipeline_lib.core.progress import track
from pipeline_lib.core.tables import read_table, table_from_rows, write_table
from pipeline_lib.data.faces.align_batch import AlignedFace, Outcome, align_batch, crashed_row
from pipeline_lib.data.faces.detection.build import detector_weights
from pipeline_lib.data.faces.rejects import check_rejects, count_reasons
from pipeline_lib.data.shards.images import MEMBERS, Format, encode_image
from pipeline_lib.data.shards.writer import ShardWriter
from pipeline_lib.params.align import Align
from pipeline_lib.params.ingest import Ingest
from pipeline_lib.params.load import read_section
from pipeline_lib.params.machine import load_machine
from pipeline_lib.params.shards import Shards
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.rejects import REJECTS
from pipeline_lib.schemas.shard_index import SHARD_INDEX
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage

COLUMNS = ["image_id", "identity", "split", "uri", "offset", "length", "faces", "landmarks"]


def main(manifest: Annotated[Path, typer.Option()], out: Annotated[Path, typer.Option()]) -> None:
    """Detect and align the photographs of MANIFEST; write shards, their index and the rejects table to OUT."""
    align, shards, machine = read_section("align", Align), read_section("shards", Shards), load_machine()
    max_pixels = read_section("ingest", Ingest).max_pixels
    logged = {"align": align.model_dump(), "shards": shards.model_dump(), "ingest": {"max_pixels": max_pixels}}
    with stage_run("align", params=logged, inputs={"manifest": manifest}) as run:
        photos = read_table(manifest, MANIFEST).select(COLUMNS)
        starts = range(0, photos.num_rows, machine.photographs_per_batch)
        batches = (photos.slice(start, machine.photographs_per_batch).to_pylist() for start in starts)
        weights = detector_weights(align)
        function = partial(align_batch, align=align, weights=weights, root=Path.cwd(), max_pixels=max_pixels)
        function([])  # a missing package or checkpoint fails here, not in the log of every worker
        outcomes = map_batches(function, batches, machine.num_workers, machine.dask, crashed_row)
        with atomic_dir(out / "shards") as folder:
            with ShardWriter(folder, "aligned", shards.images_per_shard) as writer:
                rejects = _write_faces(writer, shards.format, track(outcomes, "align, batches", total=len(starts)))
            # Written before the check, so that a stage that fails on it leaves the reason for each photograph.
            write_table(out / "rejects.parquet", table_from_rows(rejects, REJECTS), REJECTS)
            num_out = pc.count_distinct(writer.index()["key"]).as_py()
            check_rejects(photos.num_rows, num_out, rejects, align.max_reject_share, where=out / "rejects.parquet")
        write_table(out / "index.parquet", writer.index(), SHARD_INDEX)
        counts = {f"num_rejected_{reason}": float(count) for reason, count in count_reasons(rejects).items()}
        run.log_metrics({"num_aligned": float(num_out), "num_rejected": float(len(rejects)), **counts})


def _write_faces(writer: ShardWriter, format: Format, outcomes: Iterable[list[Outcome]]) -> list[dict[str, object]]:
    """Write the aligned faces as they come; return the rows of those that did not come out."""
    rejects: list[dict[str, object]] = []
    for outcome in (outcome for batch in outcomes for outcome in batch):
        if not isinstance(outcome, AlignedFace):
            rejects.append(outcome)
            continue
        who = {name: getattr(outcome, name) for name in ("image_id", "identity", "split")}
        found = {"box": outcome.face.box.tolist(), "score": outcome.face.score, "landmarks": outcome.landmarks.tolist()}
        text = json.dumps(who | found, sort_keys=True).encode()
        members = {MEMBERS[format]: encode_image(outcome.image, format), "json": text}
        writer.write(outcome.image_id, members, **who, landmarks=outcome.landmarks, score=outcome.face.score)
    return rejects


if __name__ == "__main__":
    run_stage(main)
