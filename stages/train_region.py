"""Train the network of one region position on its patch shards; under torchrun, one process or many."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.data.patches.grid import parse_region
from pipeline_lib.networks.backbones.shared import spec as network_spec
from pipeline_lib.networks.training.labelled_images import training_regions
from pipeline_lib.networks.training.validation import ValidationSet
from pipeline_lib.params.load import load_params
from stages.common import run_stage
from stages.common_training import train


def main(
    position: Annotated[str, typer.Option()],
    patches: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    pairs: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
    record: Annotated[Path, typer.Option()],
) -> None:
    """Train regions.network on the patches of `position` (RRFNet, Approach A)."""
    params = load_params()
    region = parse_region(position)
    section, margin_px = params.regions.network, params.regions.margin_px
    train(
        f"train_region@{position}",
        params,
        section,
        specs={out / position: network_spec.from_params(section, input_px=region.size_px)},
        inputs={"patches": patches},
        out=out,
        record=record,
        open_training=lambda: training_regions(patches, region, margin_px),
        open_validation=lambda world: ValidationSet(aligned, pairs, params.embed.batch_size, world, {position: region}),
    )


if __name__ == "__main__":
    run_stage(main)
