"""What training depends on beside the network and the data, as plain values."""

from dataclasses import dataclass
from typing import Any

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.networks.heads.shared.build import HeadSettings


@dataclass(frozen=True)
class TrainSettings:
    """The `train` section of params.yaml and a network's epochs.

    Args:
        epochs: passes over the data, at least 1.
        batch_size: samples of a step over all ranks together.
        micro_batch_size: samples of one forward pass, over which batch normalisation takes its statistics; None for a
            rank's whole share. Gradients of a share's micro-batches add up, so worlds of any size do the same
            arithmetic as long as this stays.
        learning_rate: peak rate, reached at the end of the warm-up.
        momentum, weight_decay: SGD's; the decay acts on every trained value, as in ArcFace's public code.
        clip_norm: upper bound of the backbone's gradient norm.
        warmup_epochs: length of the linear rise from 0.
        head: the margin head.
        partial_fc_rate: share of the classes in a step of PartialFC; None for the whole head on every rank.
        shift_px: largest random shift of an image, in either direction, in px.
        ema_decay: weight of the past in the running mean of the network's state that becomes the result, or None.
        validate_every_epochs: how often the validation set is measured, beside once at the end; None for never.
        compile: whether torch.compile makes the network's kernels.
        checkpoint_every_steps, log_every_steps: how often state and progress are written.
        num_loader_threads: threads that decode images ahead of the step that needs them.
        seed: of initial weights, order and augmentation.
    """

    epochs: int
    batch_size: int
    micro_batch_size: int | None
    learning_rate: float
    momentum: float
    weight_decay: float
    clip_norm: float
    warmup_epochs: float
    head: HeadSettings
    partial_fc_rate: float | None
    shift_px: int
    ema_decay: float | None
    validate_every_epochs: int | None
    compile: bool
    checkpoint_every_steps: int
    log_every_steps: int
    num_loader_threads: int
    seed: int

    def __post_init__(self) -> None:
        positive = ("epochs", "batch_size", "checkpoint_every_steps", "log_every_steps", "num_loader_threads")
        for key in (*positive, "micro_batch_size", "validate_every_epochs"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ParamsError("Training needs a positive number.", got=value, where=f"train.{key}")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            allowed = "above 0 and below 1, or null"
            raise ParamsError(
                "A mean's decay is not possible.", got=self.ema_decay, allowed=allowed, where="train.ema_decay"
            )


def from_params(train: Any, network: Any) -> TrainSettings:
    """The settings of sections `train` and `networks.<name>` (params.load, not imported: training needs no pydantic)."""
    return TrainSettings(
        epochs=network.epochs,
        batch_size=train.batch_size,
        micro_batch_size=train.micro_batch_size,
        learning_rate=train.learning_rate,
        momentum=train.momentum,
        weight_decay=train.weight_decay,
        clip_norm=train.clip_norm,
        warmup_epochs=train.warmup_epochs,
        head=HeadSettings(**dict(network.head or train.head)),
        partial_fc_rate=train.partial_fc_rate,
        shift_px=train.shift_px,
        ema_decay=train.ema_decay,
        validate_every_epochs=train.validate_every_epochs,
        compile=train.compile,
        checkpoint_every_steps=train.checkpoint_every_steps,
        log_every_steps=train.log_every_steps,
        num_loader_threads=train.threads_per_process,
        seed=train.seed,
    )
