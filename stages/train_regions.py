"""Train a group's region networks together: each face is decoded once for all of them; in one process or many."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.data.patches.grid import parse_region
from pipeline_lib.networks.backbones.shared.build import network_spec
from pipeline_lib.networks.backbones.shared.checkpoints import initial_network
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.training.labelled_images import training_faces
from pipeline_lib.networks.training.validation import ValidationSet
from pipeline_lib.params.load import PARAMS_FILE, read_section
from pipeline_lib.params.regions import Regions
from pipeline_lib.params.train import Train
from stages.common import run_stage
from stages.common_training import fits, train


def main(
    group: Annotated[str, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    pairs: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
    record: Annotated[Path, typer.Option()],
) -> None:
    """Train regions.network for every position of regions.groups.<group> (RRFNet, Approach A)."""
    section, train_section = read_section("regions", Regions), read_section("train", Train)
    if group not in section.groups:
        allowed, where = sorted(section.groups), f"{PARAMS_FILE}, regions.groups"
        raise ParamsError("An unknown group of regions.", got=group, allowed=allowed, where=where)
    regions = {name: parse_region(name) for name in section.groups[group]}
    entry, where = section.network, f"{PARAMS_FILE}, regions.network"
    assert entry is not None, "Regions refuses positions without a network"

    def build() -> dict[Path, FaceNetwork]:
        specs = {name: network_spec(entry, where, region.size_px) for name, region in regions.items()}
        seed, checkpoint = train_section.seed, entry.checkpoint_file
        return {out / name: initial_network(spec, seed, checkpoint) for name, spec in specs.items()}

    train(
        f"train_regions@{group}",
        entry,
        where,
        train_section,
        build=build,
        inputs={"aligned": aligned / "shards"},
        out=out,
        record=record,
        open_training=lambda url: training_faces(aligned, None, list(regions.values()), shards_url=url),
        open_validation=lambda world, batch_size, url: ValidationSet(aligned, pairs, batch_size, world, regions, url),
    )


if __name__ == "__main__":
    run_stage(main, fits)
