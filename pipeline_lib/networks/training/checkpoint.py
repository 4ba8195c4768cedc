"""State from which training goes on as if it had never stopped: one safetensors file."""

import dataclasses
import hashlib
import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline_lib.core import pixels
from pipeline_lib.core.code import modules_in, source_digest
from pipeline_lib.core.errors import PipelineError
from pipeline_lib.core.files import atomic_file
from pipeline_lib.core.kinds import load_kind
from pipeline_lib.data.shards import images, plan, shuffle
from pipeline_lib.networks.backbones.shared.checkpoints import network_modules
from pipeline_lib.networks.heads.shared.settings import HEADS
from pipeline_lib.networks.training.data import TrainingSet
from pipeline_lib.networks.training.learner import Learner
from pipeline_lib.networks.training.trainee import Trainee
from pipeline_lib.params.train import Train

About = dict[str, str]

CHECKPOINT = "checkpoint.safetensors"
STATE = "state"  # name of the JSON text among the file's metadata
FORMAT = 2
# Settings that may change between a stop and its rerun: they change what is shown and how fast, not what is learned.
INDECISIVE = {"validate_every_epochs", "compile"}
log = logging.getLogger("face_verifier")


class Resumable(Protocol):
    """What a training goes on from: a Learner, or a generator's Game."""

    def state(self) -> dict[str, Tensor]:
        """Every such tensor, by name: its own, to be read or written in place."""


@dataclass
class Progress:
    """How far training is: steps done, the losses and gradient norms not yet in a history row, and the rows.

    There is no random state: order, augmentation and masks are functions of (seed, epoch, sample).
    """

    step: int = 0
    pending: list[list[float]] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)


def save_checkpoint(folder: Path, learners: Sequence[Resumable], progress: Progress, about: About) -> None:
    """Write weights, momentum, running means and progress; a kill in between leaves the previous checkpoint whole.

    Raises:
        PipelineError: the folder cannot be written, or the disk is full.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in _state(learners).items()}
    state = json.dumps({"format": FORMAT, "about": about, **dataclasses.asdict(progress)}, allow_nan=False)
    try:
        with atomic_file(folder / CHECKPOINT) as partial:
            save_file(tensors, partial, metadata={STATE: state})
    except (OSError, SafetensorError) as error:
        raise PipelineError("A training checkpoint could not be written.", got=error, where=folder) from error


def check_writable(folder: Path) -> None:
    """Find out before hours of training, not after, that checkpoints cannot be written.

    Raises:
        PipelineError: the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PipelineError("Training checkpoints cannot be written here.", got=error, where=folder) from error


def load_checkpoint(folder: Path, learners: Sequence[Resumable], about: About) -> Progress:
    """Put a checkpoint's state in place and return its progress; a fresh start where there is none to use.

    A checkpoint of other settings, code, data, classes or initial weights, of another format, or a damaged one is not
    resumed; a log line says so and what differs, and the next save replaces it.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return Progress()
    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads((file.metadata() or {}).get(STATE, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        log.warning("training starts anew: the checkpoint %s is unreadable (%s)", path, error)
        return Progress()
    if state.get("format") != FORMAT:
        log.warning("training starts anew: the checkpoint %s is of format %s", path, state.get("format"))
        return Progress()
    differ = [key for key, value in about.items() if state["about"].get(key) != value]
    if differ:
        changes = "; ".join(f"{key} was {state['about'].get(key)}, is {about[key]}" for key in differ)
        log.warning("training starts anew: the checkpoint %s is of another training (%s)", path, changes)
        return Progress()
    with torch.no_grad():
        for name, place in _state(learners).items():
            place.copy_(tensors[name])
    progress = Progress(state["step"], state["pending"], state["history"])
    log.info("training goes on after step %d, from %s", progress.step, path)
    return progress


def _state(learners: Sequence[Resumable]) -> dict[str, Tensor]:
    """Every tensor that a training goes on from, by name; the learners' own, not copies."""
    return {name: tensor for learner in learners for name, tensor in learner.state().items()}


def training_about(learners: Sequence[Learner], train: Train, epochs: int, dataset: TrainingSet) -> About:
    """What decides a training's result, as short texts: a checkpoint that says otherwise is of another training."""
    weights = hashlib.sha256()
    trainees = {name: trainee for learner in learners for name, trainee in learner.trainees.items()}
    for name, trainee in trainees.items():
        for key, value in trainee.state_dict().items():
            weights.update(f"{name}/{key}".encode())
            weights.update(tensor_bytes(value))
    return {
        "networks": json.dumps({name: trainee.network.spec.to_json() for name, trainee in trainees.items()}),
        "heads": json.dumps({name: trainee.head.settings.model_dump() for name, trainee in trainees.items()}),
        "code": code_of(list(trainees.values())),
        "initial weights": weights.hexdigest(),
        "settings": json.dumps({**train.model_dump(exclude=INDECISIVE), "epochs": epochs}),
        "images": dataset.digest,
        "teacher": dataset.teacher.digest if dataset.teacher else "none",
        "number of classes": str(len(dataset.classes)),
        "classes": hashlib.sha256("\n".join(dataset.classes).encode()).hexdigest(),
    }


def code_of(trainees: Sequence[Trainee]) -> str:
    """The digest of the source files that compute a training: of its networks, heads, samples, their order and pixels, and
    its steps. networks/training counts whole, with what it only shows.
    """
    return source_digest(_modules(trainees))


def _modules(trainees: Sequence[Trainee]) -> Iterator[ModuleType]:
    for trainee in trainees:
        yield from network_modules(trainee.network)
        yield load_kind(HEADS, trainee.head.settings.kind, where="head.kind")
    yield from modules_in(f"{HEADS}.shared")
    yield from modules_in("networks.training")
    yield from (images, pixels, plan, shuffle)


def tensor_bytes(tensor: Tensor) -> bytes:
    """Its values as they lie in memory, for a digest."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
