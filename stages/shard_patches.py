"""Stage shard_patches: the training images' region patches, one shard set a position."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.files import atomic_dir
from pipeline_lib.data.patches.grid import parse_region
from pipeline_lib.data.patches.patch_set import write_patch_set
from pipeline_lib.params.load import load_params
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage


def main(aligned: Annotated[Path, typer.Option()], out: Annotated[Path, typer.Option()]) -> None:
    """Cut the patches of regions.positions with their margin from the aligned training images."""
    params = load_params().regions
    used = params.model_dump(include={"positions", "margin_px", "num_workers", "images_per_shard"})
    inputs = {"aligned_shards": aligned / "shards", "aligned_index": aligned / "index.parquet"}
    with stage_run("shard_patches", params={"regions": used}, inputs=inputs) as run:
        regions = [parse_region(name) for name in params.positions]
        with atomic_dir(out) as partial:
            num_images = write_patch_set(
                aligned, partial, regions, params.margin_px, params.images_per_shard, params.num_workers
            )
        run.log_metrics({"num_images": num_images, "num_patches": 2 * num_images * len(regions)})


if __name__ == "__main__":
    run_stage(main)
