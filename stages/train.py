"""Train one network on the aligned and occluded faces of the training identities, in one process or many."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.networks.backbones.shared.build import network_spec
from pipeline_lib.networks.backbones.shared.checkpoints import initial_network
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.training.labelled_images import training_faces
from pipeline_lib.networks.training.validation import ValidationSet
from pipeline_lib.params.load import PARAMS_FILE, read_entry, read_section
from pipeline_lib.params.networks import Network
from pipeline_lib.params.section import NONE
from pipeline_lib.params.train import Train
from stages.common import run_stage
from stages.common_training import fits, train


def main(
    network: Annotated[str, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    occluded: Annotated[Path, typer.Option()],
    pairs: Annotated[Path, typer.Option()],
    teachers: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
    record: Annotated[Path, typer.Option()],
) -> None:
    """Train networks.<network>, on labels or on a teacher's embeddings; with epochs 0 it is imported and no data are read."""
    entry, section = read_entry("networks", network, Network), read_section("train", Train)
    where = f"{PARAMS_FILE}, networks.{network}"
    spec = network_spec(entry, where)
    teacher = None if entry.teacher == NONE else teachers / entry.teacher

    def build() -> dict[Path, FaceNetwork]:
        first = initial_network(spec, section.seed, entry.checkpoint_file)
        first.taught_by = None if teacher is None else entry.teacher
        return {out: first}

    train(
        f"train@{network}",
        entry,
        where,
        section,
        build=build,
        inputs={"aligned": aligned / "shards", "occluded": occluded / "shards"}
        | ({"teacher": teacher} if teacher else {}),
        out=out,
        record=record,
        open_training=lambda url: training_faces(
            aligned, occluded if section.use_occluded else None, teacher=teacher, shards_url=url
        ),
        open_validation=lambda world, batch_size, url: ValidationSet(aligned, pairs, batch_size, world, shards_url=url),
    )


if __name__ == "__main__":
    run_stage(main, fits)
