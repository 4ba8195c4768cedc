"""Train a group's region networks together: each face is decoded once for all of them; under torchrun, one process or many."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.data.patches.grid import parse_region
from pipeline_lib.networks.backbones.shared import spec as network_spec
from pipeline_lib.networks.training.labelled_images import training_faces
from pipeline_lib.networks.training.validation import ValidationSet
from pipeline_lib.params.load import load_params
from stages.common import run_stage
from stages.common_training import train


def main(
    group: Annotated[str, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    pairs: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
    record: Annotated[Path, typer.Option()],
) -> None:
    """Train regions.network for every position of regions.groups.<group> (RRFNet, Approach A)."""
    params = load_params()
    if group not in params.regions.groups:
        allowed = sorted(params.regions.groups)
        raise ParamsError(
            "An unknown group of regions.", got=group, allowed=allowed, where="params.yaml, regions.groups"
        )
    regions = {name: parse_region(name) for name in params.regions.groups[group]}
    section = params.regions.network
    train(
        f"train_regions@{group}",
        params,
        section,
        specs={out / name: network_spec.from_params(section, region.size_px) for name, region in regions.items()},
        inputs={"aligned": aligned / "shards"},
        out=out,
        record=record,
        open_training=lambda: training_faces(aligned, None, list(regions.values())),
        open_validation=lambda world: ValidationSet(aligned, pairs, params.embed.batch_size, world, regions),
    )


if __name__ == "__main__":
    run_stage(main)
