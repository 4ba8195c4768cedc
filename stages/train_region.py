"""Train the network of one region position on its patch shards, in one process or many."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.data.patches.grid import parse_region
from pipeline_lib.networks.backbones.shared.build import network_spec
from pipeline_lib.networks.backbones.shared.checkpoints import initial_network
from pipeline_lib.networks.training.labelled_images import training_regions
from pipeline_lib.networks.training.validation import ValidationSet
from pipeline_lib.params.load import PARAMS_FILE, read_section
from pipeline_lib.params.regions import Regions
from pipeline_lib.params.train import Train
from stages.common import run_stage
from stages.common_training import fits, train


def main(
    position: Annotated[str, typer.Option()],
    patches: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    pairs: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
    record: Annotated[Path, typer.Option()],
) -> None:
    """Train regions.network on the patches of `position` (RRFNet, Approach A)."""
    regions, section = read_section("regions", Regions), read_section("train", Train)
    if position not in regions.alone:
        allowed, where = ", ".join(regions.alone), f"{PARAMS_FILE}, regions.alone"
        raise ParamsError("This position has no stage of its own.", got=position, allowed=allowed, where=where)
    region, entry, where = parse_region(position), regions.network, f"{PARAMS_FILE}, regions.network"
    assert entry is not None, "Regions refuses positions without a network"
    spec = network_spec(entry, where, region.size_px)
    train(
        f"train_region@{position}",
        entry,
        where,
        section,
        build=lambda: {out / position: initial_network(spec, section.seed, entry.checkpoint_file)},
        inputs={"patches": patches},
        out=out,
        record=record,
        open_training=lambda url: training_regions(patches, region, regions.margin_px, url),
        open_validation=lambda world, batch_size, url: ValidationSet(
            aligned, pairs, batch_size, world, {position: region}, url
        ),
    )


if __name__ == "__main__":
    run_stage(main, fits)
