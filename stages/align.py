"""Align: every photograph of the manifest becomes one 112x112 face in a shard, or a row in the rejects table."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.tables import count_distinct, read_table
from pipeline_lib.data.faces.aligned_set import SET, align_part, crashed_part
from pipeline_lib.data.faces.detection.build import detector_weights
from pipeline_lib.data.faces.rejects import check_rejects, count_reasons
from pipeline_lib.data.shards.units import Job, run_units, units_of
from pipeline_lib.data.shards.work import open_work
from pipeline_lib.params.align import Align
from pipeline_lib.params.ingest import Ingest
from pipeline_lib.params.load import read_section
from pipeline_lib.params.machine import load_machine
from pipeline_lib.params.shards import Shards
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.rejects import REJECTS
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
        weights = detector_weights(align)
        function = partial(
            align_part, align=align, weights=weights, root=Path.cwd(), max_pixels=max_pixels, format=shards.format
        )
        function([])  # a missing package or checkpoint fails here, not in the log of every worker
        # A share of rejects that fails the stage is raised without losing what was found.
        decided = logged | {"align": align.model_dump(exclude={"max_reject_share"})}
        inputs = [manifest, *([weights] if weights else [])]
        work = open_work(out / "shards", "aligned", (SET,), decided, inputs)
        job = Job(work, function, machine.photographs_per_batch, crashed_part)
        units = units_of(photos, range(0, len(photos), shards.images_per_shard))
        run_units(job, units, machine.worker_pool, "align, photographs")
        # Written before the check, so that a stage that fails on it leaves the reason for each photograph.
        work.join_rows(len(units), out / "rejects.parquet", REJECTS)
        rejects = read_table(out / "rejects.parquet", REJECTS).to_pylist()
        index = work.folder / "index.parquet"
        work.join_index(SET, len(units), index)
        num_out = count_distinct(index, "key")
        check_rejects(len(photos), num_out, rejects, align.max_reject_share, where=out / "rejects.parquet")
        work.finish({work.shards(SET): out / "shards", index: out / "index.parquet"})
        counts = {f"num_rejected_{reason}": float(count) for reason, count in count_reasons(rejects).items()}
        run.log_metrics({"num_aligned": float(num_out), "num_rejected": float(len(rejects)), **counts})


if __name__ == "__main__":
    run_stage(main)
