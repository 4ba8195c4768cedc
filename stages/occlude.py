"""Stage occlude: masks, sunglasses and crops, for training and as queries."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.files import atomic_dir
from pipeline_lib.core.tables import write_table
from pipeline_lib.data.occlusion.occluded_set import write_occluded_set
from pipeline_lib.params.load import read_section
from pipeline_lib.params.machine import load_machine
from pipeline_lib.params.occlude import Occlude
from pipeline_lib.schemas.occlusions import OCCLUSIONS
from pipeline_lib.schemas.shard_index import SHARD_INDEX
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage


def main(aligned: Annotated[Path, typer.Option()], out: Annotated[Path, typer.Option()]) -> None:
    """Occlude a share of the training images, and test images in every kind."""
    occlude, machine = read_section("occlude", Occlude), load_machine()
    inputs = {"aligned_shards": aligned / "shards", "aligned_index": aligned / "index.parquet"}
    with stage_run("occlude", params={"occlude": occlude.model_dump()}, inputs=inputs) as run:
        with atomic_dir(out / "shards") as partial:
            index, occlusions = write_occluded_set(aligned, partial, occlude, machine.num_workers, machine.dask)
        write_table(out / "index.parquet", index, SHARD_INDEX)
        write_table(out / "occlusions.parquet", occlusions, OCCLUSIONS)
        purposes = occlusions["purpose"].to_pylist()
        run.log_metrics({f"num_{purpose}": purposes.count(purpose) for purpose in ("train", "query")})


if __name__ == "__main__":
    run_stage(main)
