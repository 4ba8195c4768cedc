"""shard_patches: the training images' patches of every region of regions.alone, as shards, cut in one pass."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.data.patches.grid import parse_region
from pipeline_lib.data.patches.patch_set import write_patch_sets
from pipeline_lib.params.load import read_section
from pipeline_lib.params.machine import load_machine
from pipeline_lib.params.regions import Regions
from pipeline_lib.params.shards import Shards
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage


def main(aligned: Annotated[Path, typer.Option()], out: Annotated[Path, typer.Option()]) -> None:
    """Cut the patches of each position with their margin from the aligned training images."""
    section, shards = read_section("regions", Regions), read_section("shards", Shards)
    regions = [parse_region(position) for position in section.alone]
    used = {"regions": section.model_dump(include={"alone", "margin_px"}), "shards": shards.model_dump()}
    inputs = {"aligned_shards": aligned / "shards", "aligned_index": aligned / "index.parquet"}
    with stage_run("shard_patches", params=used, inputs=inputs) as run:
        num_images = write_patch_sets(aligned, out, regions, section.margin_px, shards, load_machine().worker_pool)
        run.log_metrics({"num_images": num_images, "num_patches": 2 * num_images * len(regions)})


if __name__ == "__main__":
    run_stage(main)
