"""What every training stage does, on every rank: networks built, trained, recorded and written."""

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import torch

from pipeline_lib.core.world import World, process_group
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
from pipeline_lib.networks.training import settings as train_settings
from pipeline_lib.networks.training.data import TrainingSet
from pipeline_lib.networks.training.fit import fit, forget_training, initial_network, size_figures, write_fitted
from pipeline_lib.networks.training.loop import Row
from pipeline_lib.networks.training.validation import ValidationSet
from pipeline_lib.params.load import Network, Params
from pipeline_lib.tracking.network_package import log_networks
from pipeline_lib.tracking.stage_run import stage_run


def train(
    stage: str,
    params: Params,
    section: Network,
    specs: Mapping[Path, NetworkSpec],
    inputs: Mapping[str, Path],
    out: Path,
    record: Path,
    open_training: Callable[[], TrainingSet],
    open_validation: Callable[[World], ValidationSet],
) -> None:
    """Train the networks of `specs`, or import them where section.epochs is 0; rank 0 alone logs and writes.

    Args:
        stage: its name as `dvc stage list` gives it.
        section: networks.<name> or regions.network.
        specs: each network by the folder it goes to; the folder's name is the network's.
        inputs: as tracking.stage_run.stage_run.
        out, record: the stage's folders; the first names the training state.
        open_training, open_validation: called only if needed.
    """
    torch.set_num_threads(params.train.threads_per_process)
    with ExitStack() as stack:
        world = stack.enter_context(process_group())
        run = None
        if world.is_main:
            sections = {"train": params.train.model_dump(), "network": section.model_dump()}
            run = stack.enter_context(stage_run(stage, sections, inputs if section.epochs else {}))
        else:
            logging.getLogger("face_verifier").setLevel(logging.WARNING)
        networks = {path: initial_network(spec, params.train.seed, section.checkpoint) for path, spec in specs.items()}
        named = {path.name: network for path, network in networks.items()}
        history, figures = list[Row](), size_figures(named)
        if section.epochs:
            validate = open_validation(world).measure if params.train.validate_every_epochs else None
            settings = train_settings.from_params(params.train, section)
            logger = run.log_metrics if run else lambda figures, step: None
            history, figures = fit(named, open_training(), settings, world, out, logger, validate)
        if run:
            write_fitted(networks, history, figures, section.epochs > 0, record)
            num_steps = int(figures["num_steps"])
            run.log_metrics(figures, num_steps)  # at the last step: they are no first points of the rows' curves
            log_networks(run, specs, num_steps)
            forget_training(out)
