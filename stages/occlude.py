"""Stage occlude: masks, sunglasses and crops, for training and as queries."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.files import atomic_dir
from pipeline_lib.core.tables import write_table
from pipeline_lib.data.occlusion.occluded_set import OcclusionPlan, write_occluded_set
from pipeline_lib.params.load import load_params
from pipeline_lib.schemas.occlusions import OCCLUSIONS
from pipeline_lib.schemas.shard_index import SHARD_INDEX
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage


def main(aligned: Annotated[Path, typer.Option()], out: Annotated[Path, typer.Option()]) -> None:
    """Occlude a share of the training images, and test images in every kind."""
    params = load_params().occlude
    inputs = {"aligned_shards": aligned / "shards", "aligned_index": aligned / "index.parquet"}
    with stage_run("occlude", params={"occlude": params.model_dump()}, inputs=inputs) as run:
        plan = OcclusionPlan(
            tuple(params.kinds), params.train_share, params.crop_share, params.seed, params.max_query_images
        )
        with atomic_dir(out / "shards") as partial:
            index, occlusions = write_occluded_set(aligned, partial, plan, params.images_per_shard, params.num_workers)
        write_table(out / "index.parquet", index, SHARD_INDEX)
        write_table(out / "occlusions.parquet", occlusions, OCCLUSIONS)
        purposes = occlusions["purpose"].to_pylist()
        run.log_metrics({f"num_{purpose}": purposes.count(purpose) for purpose in ("train", "query")})


if __name__ == "__main__":
    run_stage(main)
