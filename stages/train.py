"""Train one network on the aligned and occluded faces of the training identities; under torchrun, one process or many."""

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import torch
import typer

from pipeline_lib.backbones import spec as network_spec
from pipeline_lib.core.errors import ParamsError
from pipeline_lib.core.params import Network, Params, load_params
from pipeline_lib.core.world import process_group
from pipeline_lib.registry.tracking import stage_run
from pipeline_lib.training import settings as train_settings
from pipeline_lib.training.data import TrainingSet
from pipeline_lib.training.fit import fit, initial_network, size_figures, write_fitted
from pipeline_lib.training.loop import Row
from pipeline_lib.training.sources import training_faces
from stages.common import run_stage


def main(
    network: Annotated[str, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    occluded: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
    record: Annotated[Path, typer.Option()],
) -> None:
    """Train networks.<network>; with epochs 0 its checkpoint is imported and no data are read."""
    params = load_params()
    if network not in params.networks:
        raise ParamsError("An unknown network.", got=network, allowed=sorted(params.networks), where="params.yaml")
    inputs = {"aligned": aligned / "shards", "occluded": occluded / "shards"}
    section = params.networks[network]
    spec = network_spec.from_params(section)
    used = occluded if params.train.use_occluded else None
    train(f"train@{network}", params, section, spec, inputs, out, record, lambda: training_faces(aligned, used))


def train(
    stage: str,
    params: Params,
    section: Network,
    spec: network_spec.NetworkSpec,
    inputs: Mapping[str, Path],
    out: Path,
    record: Path,
    open_data: Callable[[], TrainingSet],
) -> None:
    """What both training stages do, on every rank; rank 0 alone logs and writes."""
    torch.set_num_threads(params.train.threads_per_process)
    with ExitStack() as stack:
        world = stack.enter_context(process_group())
        run = None
        if world.is_main:
            sections = {"train": params.train.model_dump(), "network": section.model_dump()}
            run = stack.enter_context(stage_run(stage, sections, inputs if section.epochs else {}))
        else:
            logging.getLogger("face_verifier").setLevel(logging.WARNING)
        network = initial_network(spec, params.train.seed, section.checkpoint)
        history, figures = list[Row](), size_figures(network)
        if section.epochs:
            settings = train_settings.from_params(params.train, section.epochs)
            logger = run.log_metrics if run else lambda figures, step: None
            history, figures = fit(network, open_data(), settings, world, out, logger)
        if run:
            write_fitted(network, history, figures, section.epochs > 0, out, record)
            run.log_metrics(figures)


if __name__ == "__main__":
    run_stage(main)
