"""Section `train`: what all training stages share."""

from typing import Annotated, Self

from pydantic import Field

from pipeline_lib.params.networks import NetworkOver
from pipeline_lib.params.section import AboveZero, NonNegative, Positive, Section, Share

Two = Annotated[int, Field(ge=2)]


class Train(Section):
    """What all training stages share.

    Args:
        batch_size: samples of a step, over all processes. Each works through its share in micro-batches.
        micro_batch_size: samples of one forward pass, over which batch normalisation takes its statistics, so two at
            least (null: a process's whole share). With the same micro-batch any number of processes learns the same.
        learning_rate: peak rate, reached at the end of the warm-up.
        momentum, weight_decay: SGD's; the decay acts on every trained value, as in ArcFace's public code.
        clip_norm: upper bound of the backbone's gradient norm.
        warmup_epochs: length of the linear rise from 0.
        partial_fc_rate: shards the head's class weights over the processes, of which each step takes this share and its
            own classes (PartialFC); null: the whole head on every process.
        shift_px: largest random shift of an image, in either direction.
        use_occluded: whether the occluded training images of stage occlude are learned from, too.
        ema_decay: weight of the past in a running mean of the weights, which is then the network that comes out; null: none.
        validate_every_epochs: how often the val pairs are measured, beside once at the end; null: never.
        decay_epochs: after how many epochs the rate falls to a tenth, each time; null: it falls linearly to 0.
        compile: whether torch.compile makes the network's kernels.
        seed: of initial weights, order and augmentation.
    """

    batch_size: Two
    micro_batch_size: Two | None
    learning_rate: AboveZero
    momentum: Share
    weight_decay: Annotated[float, Field(ge=0)]
    clip_norm: AboveZero
    warmup_epochs: Annotated[float, Field(ge=0)]
    partial_fc_rate: Annotated[float, Field(gt=0.0, le=1.0)] | None
    shift_px: NonNegative
    use_occluded: bool
    ema_decay: Annotated[float, Field(gt=0.0, lt=1.0)] | None
    validate_every_epochs: Positive | None
    compile: bool
    seed: int
    decay_epochs: list[Positive] | None = None

    def with_own(self, entry: NetworkOver) -> Self:
        """The section with what an entry says in its place; maps that are kept are of faces as they were aligned."""
        own = {
            "learning_rate": entry.learning_rate,
            "use_occluded": entry.use_occluded,
            "decay_epochs": entry.decay_epochs,
        }
        if entry.cache_maps:
            own["shift_px"] = 0
        return self.model_copy(update={key: value for key, value in own.items() if value is not None})
