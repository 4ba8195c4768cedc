"""State from which training goes on as if it had never stopped: one safetensors file."""

import dataclasses
import hashlib
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from pipeline_lib.core.errors import PipelineError
from pipeline_lib.core.files import atomic_file

CHECKPOINT = "checkpoint.safetensors"
STATE = "state"  # name of the JSON text among the file's metadata
FORMAT = 1
log = logging.getLogger("face_verifier")


@dataclass
class Progress:
    """How far training is: steps done, the losses not yet in a history row, and the rows.

    There is no random state: order, augmentation and masks are functions of (seed, epoch, sample).
    """

    step: int = 0
    pending: list[float] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)


def save_checkpoint(
    folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress, digest: str
) -> None:
    """Write weights, momentum and progress; a kill in between leaves the previous checkpoint whole.

    Raises:
        PipelineError: the folder cannot be written, or the disk is full.
    """
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        momentum = optimiser.state.get(parameter, {}).get("momentum_buffer")
        if momentum is not None:
            tensors[f"momentum.{name}"] = momentum
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    state = json.dumps({"format": FORMAT, "digest": digest, **dataclasses.asdict(progress)}, allow_nan=False)
    try:
        with atomic_file(folder / CHECKPOINT) as partial:
            save_file(tensors, partial, metadata={STATE: state})
    except (OSError, SafetensorError) as error:
        raise PipelineError("A training checkpoint could not be written.", got=error, where=folder) from error


def load_checkpoint(folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer, digest: str) -> Progress:
    """Put a checkpoint's weights and momentum in place and return its progress; a fresh start where there is none to
    use.

    A checkpoint of other settings, data or initial weights (another digest), of another format, or a damaged one is not
    resumed; a log line says so, and the next save replaces it.
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
    if state.get("format") != FORMAT or state.get("digest") != digest:
        log.warning("training starts anew: the checkpoint %s is of other settings, data or initial weights", path)
        return Progress()
    weights = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    model.load_state_dict(weights)
    for name, parameter in model.named_parameters():
        momentum = tensors.get(f"momentum.{name}")
        if momentum is not None:
            # empty_like keeps the parameter's channels_last memory, so that the optimiser's kernels stay the same
            optimiser.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(momentum)
    progress = Progress(state["step"], state["pending"], state["history"])
    log.info("training goes on after step %d, from %s", progress.step, path)
    return progress


def training_digest(model: nn.Module, *described: Any) -> str:
    """SHA-256 over the initial weights and the JSON of whatever else decides the result."""
    digest = hashlib.sha256(json.dumps(described, sort_keys=True, default=dataclasses.asdict).encode())
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        digest.update(_bytes(value))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
