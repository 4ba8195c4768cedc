"""Train one network over frozen ones on the aligned and occluded faces of the training identities, in one process or many."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.world import World
from pipeline_lib.networks.backbones.shared.build import build_over
from pipeline_lib.networks.backbones.shared.checkpoints import load_network
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.over.shared.settings import over_settings
from pipeline_lib.networks.training.cached_maps import mapped, only_over
from pipeline_lib.networks.training.data import TrainingSet
from pipeline_lib.networks.training.fit import resume_folder
from pipeline_lib.networks.training.labelled_images import training_faces
from pipeline_lib.networks.training.validation import ValidationSet
from pipeline_lib.params.load import PARAMS_FILE, read_entry, read_section
from pipeline_lib.params.networks import NetworkOver
from pipeline_lib.params.train import Train
from stages.common import run_stage
from stages.common_training import fits, train


def main(
    network: Annotated[str, typer.Option()],
    frozen: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    occluded: Annotated[Path, typer.Option()],
    pairs: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
    record: Annotated[Path, typer.Option()],
) -> None:
    """Train networks_over.<network> over the networks in FROZEN that it names, which stay as they are."""
    entry = read_entry("networks_over", network, NetworkOver)
    section = read_section("train", Train).with_own(entry)
    where = f"{PARAMS_FILE}, networks_over.{network}"
    settings = over_settings(entry, where)

    def build() -> dict[Path, FaceNetwork]:
        stands_on = {name: load_network(frozen / name) for name in settings.over}
        return {out: build_over(settings, stands_on, section.seed)}

    def maps(dataset: TrainingSet, networks: Mapping[str, FaceNetwork], world: World, batch_size: int) -> TrainingSet:
        return mapped(dataset, only_over(networks, where), resume_folder(out), world, batch_size)

    train(
        f"train_over@{network}",
        entry,
        where,
        section,
        build=build,
        inputs={"aligned": aligned / "shards", "occluded": occluded / "shards"}
        | {f"frozen_{name}": frozen / name for name in settings.over},
        out=out,
        record=record,
        open_training=lambda url: training_faces(aligned, occluded if section.use_occluded else None, shards_url=url),
        open_validation=lambda world, batch_size, url: ValidationSet(aligned, pairs, batch_size, world, shards_url=url),
        prepared=maps if entry.cache_maps else None,
    )


if __name__ == "__main__":
    run_stage(main, fits)
