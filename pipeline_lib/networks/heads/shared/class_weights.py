"""The class weights that a network was trained with: out of its head, onto disk and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from pipeline_lib.core.errors import CheckpointError, DataError
from pipeline_lib.core.files import atomic_file, read_json, write_json
from pipeline_lib.core.world import sum_over_ranks
from pipeline_lib.networks.heads.shared.objective import Objective
from pipeline_lib.networks.heads.shared.partial_fc import PartialFC
from pipeline_lib.networks.heads.shared.softmax_margin import SoftmaxMarginHead

WEIGHTS, NAMES = "classes.safetensors", "classes.json"
TENSOR = "weights"
ROWS_AT_ONCE = 65536  # of the shards, on the device


@dataclass(frozen=True)
class ClassWeights:
    """What a margin head compared embeddings with when training ended.

    Attributes:
        weights: float32 (C, D), as trained, not of unit length.
        identities: C, the training identity of each row, sorted.
        scale: s of the head.
    """

    weights: npt.NDArray[np.float32]
    identities: Sequence[str]
    scale: float


@torch.no_grad()
def class_weights(head: Objective | PartialFC, identities: Sequence[str]) -> ClassWeights | None:
    """The class weights of a head, PartialFC's shards put together in the order of the classes; None of one without any.

    All ranks must call it. Under train.ema_decay they are the last step's, while the network is the running mean.

    Args:
        head: after training.
        identities: of the classes.
    """
    if isinstance(head, SoftmaxMarginHead):
        return ClassWeights(head.weight.detach().float().cpu().numpy().copy(), list(identities), head.scale)
    if not isinstance(head, PartialFC):
        return None
    whole = np.empty((head.num_classes, head.weight.shape[1]), np.float32)
    for start in range(0, head.num_classes, ROWS_AT_ONCE):
        block = whole[start : start + ROWS_AT_ONCE]
        rows = head.weight.new_zeros(block.shape)
        first, last = max(head.first, start), min(head.last, start + len(block))
        if first < last:
            rows[first - start : last - start] = head.weight[first - head.first : last - head.first]
        block[:] = sum_over_ranks(rows).cpu().numpy()  # of every row all ranks but one have zeros
    return ClassWeights(whole, list(identities), head.rule.scale)


def save_class_weights(folder: Path, classes: ClassWeights) -> None:
    """Write classes.safetensors and classes.json below `folder`."""
    with atomic_file(folder / WEIGHTS) as partial:
        save_file({TENSOR: np.ascontiguousarray(classes.weights)}, partial)
    write_json(folder / NAMES, {"identities": list(classes.identities), "scale": classes.scale})


def read_class_weights(folder: Path) -> ClassWeights:
    """Read what save_class_weights wrote.

    Raises:
        CheckpointError: there are none, for the network was imported or learned from a teacher; or a file is damaged.
    """
    if not (folder / WEIGHTS).exists():
        problem = (
            "This network has no class weights: only training with a margin head on labels leaves some. Take anchors of "
            "another kind (real, generated, folder), or a network that is trained here."
        )
        raise CheckpointError(problem, where=folder / WEIGHTS)
    try:
        weights, about = load_file(folder / WEIGHTS)[TENSOR], read_json(folder / NAMES)
        classes = ClassWeights(np.asarray(weights, np.float32), list(about["identities"]), float(about["scale"]))
    except (SafetensorError, DataError, OSError, KeyError, TypeError, ValueError) as error:
        problem = "A network's class weights are damaged; rerun its training stage."
        raise CheckpointError(problem, got=error, where=folder) from error
    if classes.weights.ndim != 2 or len(classes.weights) != len(classes.identities):
        got = f"weights {classes.weights.shape}, {len(classes.identities)} identities"
        raise CheckpointError("A network's class weights are damaged; rerun its training stage.", got=got, where=folder)
    return classes
