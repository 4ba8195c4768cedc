"""Align: every photograph of the manifest becomes one 112x112 face in a shard, or a row in the rejects table."""

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
import typer

from pipeline_lib.core.files import atomic_dir
from pipeline_lib.core.parallel import map_batches
from pipeline_lib.core.progress import track
from pipeline_lib.core.tables import read_table, table_from_rows, write_table
from pipeline_lib.data.faces.align_batch import AlignedFace, Looked, crashed, look_at_batch
from pipeline_lib.data.faces.detection.build import detector_weights
from pipeline_lib.data.faces.rejects import check_rejects, count_reasons
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.data.shards.writer import ShardWriter
from pipeline_lib.params.align import Align
from pipeline_lib.params.ingest import Ingest
from pipeline_lib.params.load import read_section
from pipeline_lib.params.machine import load_machine
from pipeline_lib.schemas.candidates import CANDIDATES
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.rejects import REJECTS
from pipeline_lib.schemas.shard_index import SHARD_INDEX
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage

COLUMNS = ["image_id", "identity", "split", "uri", "offset", "length", "faces", "landmarks", "box"]


def main(manifest: Annotated[Path, typer.Option()], out: Annotated[Path, typer.Option()]) -> None:
    """Detect and align the photographs of MANIFEST; write shards, their index, the rejects and all faces found to OUT."""
    align, machine = read_section("align", Align), load_machine()
    max_pixels = read_section("ingest", Ingest).max_pixels
    logged = {"align": align.model_dump(), "ingest": {"max_pixels": max_pixels}}
    with stage_run("align", params=logged, inputs={"manifest": manifest}) as run:
        photos = read_table(manifest, MANIFEST).select(COLUMNS)
        starts = range(0, photos.num_rows, machine.photographs_per_batch)
        batches = (photos.slice(start, machine.photographs_per_batch).to_pylist() for start in starts)
        weights = detector_weights(align)
        function = partial(look_at_batch, align=align, weights=weights, root=Path.cwd(), max_pixels=max_pixels)
        function([])  # a missing package or checkpoint fails here, not in the log of every worker
        outcomes = map_batches(function, batches, machine.num_workers, machine.dask, crashed)
        with atomic_dir(out / "shards") as folder:
            with ShardWriter(folder, "aligned", align.images_per_shard) as writer:
                looked = track(outcomes, "align, batches", total=len(starts))
                rejects, candidates = _write_faces(writer, looked)
            # Written before the check, so that a stage that fails on it leaves the reason for each photograph.
            write_table(out / "rejects.parquet", table_from_rows(rejects, REJECTS), REJECTS)
            write_table(out / "candidates.parquet", candidates, CANDIDATES)
            num_out = pc.count_distinct(writer.index()["key"]).as_py()
            check_rejects(photos.num_rows, num_out, rejects, align.max_reject_share, where=out / "rejects.parquet")
        write_table(out / "index.parquet", writer.index(), SHARD_INDEX)
        counts = {f"num_rejected_{reason}": float(count) for reason, count in count_reasons(rejects).items()}
        run.log_metrics({"num_aligned": float(num_out), "num_rejected": float(len(rejects)), **counts})


def _write_faces(writer: ShardWriter, batches: Iterable[list[Looked]]) -> tuple[list[dict[str, object]], pa.Table]:
    """Write the aligned faces as they come; return the rows of those that did not come out, and all faces that were found."""
    rejects, candidates = list[dict[str, object]](), [table_from_rows([], CANDIDATES)]
    for batch in batches:
        candidates.append(table_from_rows([row for looked in batch for row in looked.candidates], CANDIDATES))
        for outcome, _ in batch:
            if not isinstance(outcome, AlignedFace):
                rejects.append(outcome)
                continue
            face, who = outcome.face, {name: getattr(outcome, name) for name in ("image_id", "identity", "split")}
            found = {"box": face.box.tolist(), "score": face.score, "landmarks": outcome.landmarks.tolist()}
            members = {"png": encode_png(outcome.image), "json": json.dumps(who | found, sort_keys=True).encode()}
            writer.write(outcome.image_id, members, **who, landmarks=outcome.landmarks, score=face.score)
    return rejects, pa.concat_tables(candidates)


if __name__ == "__main__":
    run_stage(main)
