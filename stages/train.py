"""Train one network on the aligned and occluded faces of the training identities; under torchrun, one process or many."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.networks.backbones.shared import spec as network_spec
from pipeline_lib.networks.training.labelled_images import training_faces
from pipeline_lib.networks.training.validation import ValidationSet
from pipeline_lib.params.load import load_params
from stages.common import run_stage
from stages.common_training import train


def main(
    network: Annotated[str, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    occluded: Annotated[Path, typer.Option()],
    pairs: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
    record: Annotated[Path, typer.Option()],
) -> None:
    """Train networks.<network>; with epochs 0 its checkpoint is imported and no data are read."""
    params = load_params()
    if network not in params.networks:
        raise ParamsError("An unknown network.", got=network, allowed=sorted(params.networks), where="params.yaml")
    section = params.networks[network]
    train(
        f"train@{network}",
        params,
        section,
        specs={out: network_spec.from_params(section)},
        inputs={"aligned": aligned / "shards", "occluded": occluded / "shards"},
        out=out,
        record=record,
        open_training=lambda: training_faces(aligned, occluded if params.train.use_occluded else None),
        open_validation=lambda world: ValidationSet(aligned, pairs, params.embed.batch_size, world),
    )


if __name__ == "__main__":
    run_stage(main)
