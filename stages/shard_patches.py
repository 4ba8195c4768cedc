"""shard_patches@position: the training images' patches of one region, as shards."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.files import atomic_dir
from pipeline_lib.data.patches.grid import parse_region
from pipeline_lib.data.patches.patch_set import write_patch_set
from pipeline_lib.params.load import read_section
from pipeline_lib.params.machine import load_machine
from pipeline_lib.params.regions import Regions
from pipeline_lib.params.shards import Shards
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage


def main(
    position: Annotated[str, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Cut the patches of `position` with their margin from the aligned training images."""
    section, shards, region = read_section("regions", Regions), read_section("shards", Shards), parse_region(position)
    used = section.model_dump(include={"margin_px"})
    inputs = {"aligned_shards": aligned / "shards", "aligned_index": aligned / "index.parquet"}
    with stage_run(
        f"shard_patches@{position}", params={"regions": used, "shards": shards.model_dump()}, inputs=inputs
    ) as run:
        machine = load_machine()
        with atomic_dir(out) as partial:
            num_images = write_patch_set(
                aligned,
                partial,
                region,
                section.margin_px,
                shards,
                machine.num_workers,
                machine.dask,
            )
        run.log_metrics({"num_images": num_images, "num_patches": 2 * num_images})


if __name__ == "__main__":
    run_stage(main)
