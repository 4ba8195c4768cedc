"""What every embedding stage does, on every rank."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline_lib.core.world import World, process_group
from pipeline_lib.networks.backbones.shared.checkpoints import load_network
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.embedding.folded import folded
from pipeline_lib.params.machine import load_machine
from pipeline_lib.tracking.stage_run import stage_run

WAIT_FOR_RANKS_S = 1800.0  # rank 0 may open a slow tracking store, and a large network's batch takes minutes on a CPU


@dataclass(frozen=True)
class Ranked:
    """A stage's place among its ranks: images of a forward pass, the world, and where figures go (nowhere but on rank 0)."""

    batch_size: int
    world: World
    log_metrics: Callable[[Mapping[str, float]], None]


@contextmanager
def ranked_stage(stage: str, params: Mapping[str, object], inputs: Mapping[str, Path]) -> Iterator[Ranked]:
    """Join the ranks, and record the stage on rank 0; for the arguments see tracking.stage_run.stage_run."""
    machine = load_machine()
    with ExitStack() as stack:
        world = stack.enter_context(process_group(WAIT_FOR_RANKS_S))
        log_metrics: Callable[[Mapping[str, float]], None] = _no_metrics
        if world.is_main:
            log_metrics = stack.enter_context(stage_run(stage, params, inputs)).log_metrics
        else:
            logging.getLogger("face_verifier").setLevel(logging.WARNING)
        yield Ranked(machine.images_per_batch, world, log_metrics)


def inference_network(folder: Path, world: World) -> FaceNetwork:
    """A network's checkpoint for inference: folded, in eval mode, on this rank's device."""
    return folded(load_network(folder)).to(world.device)


def fits(num_processes: int) -> bool:
    """Whether `processes: auto` takes so many (stages.common.run_stage): one a GPU.

    On CPUs it is one process, whose threads take the cores: every further one would first import torch.
    """
    return num_processes <= torch.cuda.device_count()


def _no_metrics(metrics: Mapping[str, float]) -> None:
    """Rank 0 alone logs."""
