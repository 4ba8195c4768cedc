"""What every training stage does, on every rank: networks built, trained, recorded and written."""

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import torch

from pipeline_lib.core.world import World, process_group
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.heads.shared.settings import head_settings
from pipeline_lib.networks.training.data import TrainingSet
from pipeline_lib.networks.training.distributed import divides
from pipeline_lib.networks.training.fit import Fitted, fit, forget_training, size_figures, write_fitted
from pipeline_lib.networks.training.validation import ValidationSet
from pipeline_lib.params.load import read_section
from pipeline_lib.params.machine import load_machine
from pipeline_lib.params.networks import Trained
from pipeline_lib.params.train import Train
from pipeline_lib.tracking.network_package import log_networks
from pipeline_lib.tracking.stage_run import stage_run


def train(
    stage: str,
    entry: Trained,
    where: str,
    section: Train,
    build: Callable[[], Mapping[Path, FaceNetwork]],
    inputs: Mapping[str, Path],
    out: Path,
    record: Path,
    open_training: Callable[[str | None], TrainingSet],
    open_validation: Callable[[World, int, str | None], ValidationSet],
    prepared: Callable[[TrainingSet, Mapping[str, FaceNetwork], World, int], TrainingSet] | None = None,
) -> None:
    """Train the networks of `build`, or write them as they are where entry.epochs is 0; rank 0 alone logs and writes.

    Args:
        stage: its name as `dvc stage list` gives it.
        entry: of networks, networks_over, or regions.network.
        where: file and key of it, for messages.
        section: `train` of params.
        build: the networks with their first weights, each by the folder it goes to; the folder's name is the network's.
        inputs: as tracking.stage_run.stage_run.
        out, record: the stage's folders; the first names its state.
        open_training, open_validation: called if needed, with machine.shards_url; the latter with world and images first.
        prepared: what networks, by name, train on in place of the training set; takes the world and the images, too.
    """
    machine, head = load_machine(), head_settings(entry.head, f"{where}.head")
    torch.set_num_threads(machine.threads_per_process)
    size, url = machine.images_per_batch, machine.shards_url
    with ExitStack() as stack:
        world = stack.enter_context(process_group())
        run = None
        if world.is_main:
            sections = {"train": section.model_dump(), "network": entry.model_dump()}
            run = stack.enter_context(stage_run(stage, sections, inputs if entry.epochs else {}, live=True))
        else:
            logging.getLogger("face_verifier").setLevel(logging.WARNING)
        networks = build()
        named = {path.name: network for path, network in networks.items()}
        fitted = Fitted([], size_figures(named), {})
        if entry.epochs:
            validate = open_validation(world, size, url).measure if section.validate_every_epochs else None
            log = run.log_metrics if run else lambda figures, step: None
            dataset = open_training(url) if prepared is None else prepared(open_training(url), named, world, size)
            fitted = fit(named, dataset, head, section, entry.epochs, machine, world, out, log, validate)
        if run:
            write_fitted(networks, fitted, entry, record)
            last = int(fitted.figures["num_steps"])  # where they are no first points of the rows' curves
            run.log_metrics(fitted.figures, last)
            log_networks(run, {path: network.spec for path, network in networks.items()}, last)
            forget_training(out)


def fits(num_processes: int) -> bool:
    """Whether so many processes can share a batch: for stages.common.run_stage."""
    return divides(read_section("train", Train), num_processes)
