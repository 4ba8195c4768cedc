"""Data-parallel training over the ranks of a world: one share of each global batch a rank, gradients averaged."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pipeline_lib.core.errors import ParamsError, PipelineError
from pipeline_lib.core.world import World, roll_call
from pipeline_lib.params.train import Train

ROLL_CALL_S = 20.0  # on a busy machine a rank that lives was seen to answer after more than 10
MIN_SAMPLES = 2  # of a forward pass: batch normalisation has no spread over one


def divides(train: Train, num_processes: int) -> bool:
    """Whether the global batch divides into so many equal shares of two samples or more, and these into micro-batches."""
    share, rest = divmod(train.batch_size, num_processes)
    return rest == 0 and share >= MIN_SAMPLES and share % (train.micro_batch_size or share) == 0


def batch_shares(train: Train, num_samples: int, world: World) -> tuple[int, int]:
    """A rank's share of the global batch, and the micro-batch it works through it in.

    Shares are equal, so the mean of the ranks' gradients is that of the batch.

    Raises:
        ParamsError: the batch does not divide into ranks or micro-batches, is one sample of a rank, or larger than the data.
    """
    batch, places = train.batch_size, "train.batch_size, or processes in machine.yaml"
    if batch % world.size:
        got, allowed = f"{batch} over {world.size}", f"a multiple of {world.size}"
        raise ParamsError(
            "The global batch does not divide among the processes.", got=got, allowed=allowed, where=places
        )
    if batch > num_samples:
        raise ParamsError(
            "The global batch is larger than the training set.", got=batch, allowed=f"1 to {num_samples}", where=places
        )
    share = batch // world.size
    micro = train.micro_batch_size or share
    if micro < MIN_SAMPLES:
        raise ParamsError(
            "Batch normalisation needs more than one sample in a forward pass.",
            got=f"{batch} over {world.size} processes",
            allowed=f"a batch of {MIN_SAMPLES * world.size} or more, or fewer processes",
            where=places,
        )
    if share % micro:
        raise ParamsError(
            "A process's share of the global batch does not divide into micro-batches.",
            got=f"{batch} / {world.size} = {share} in micro-batches of {micro}",
            allowed="a micro-batch that divides the share",
            where="train.micro_batch_size, train.batch_size, or processes in machine.yaml",
        )
    return share, micro


def replicate(model: nn.Module, world: World) -> nn.Module:
    """The model as all ranks train it; a world of one trains it as it is.

    Batch normalisation takes its statistics from each micro-batch, as in the published training. Training never reads the
    running statistics, so they are not sent around but averaged when they are needed (average_running_statistics).
    """
    if world.size == 1:
        return model
    device_ids = [world.device.index] if world.device.type == "cuda" else None
    with warnings.catch_warnings():
        # torch 2.13 calls the argument forward_sync_buffers; the name of before works there and in older releases.
        warnings.filterwarnings("ignore", message=".*broadcast_buffers.*", category=FutureWarning)
        return DistributedDataParallel(
            model, device_ids=device_ids, broadcast_buffers=False, gradient_as_bucket_view=True
        )


def average_running_statistics(model: nn.Module, world: World) -> None:
    """Replace batch normalisation's running means and variances by their means over the ranks.

    A running statistic is linear in what it has seen, so it does not matter when, or how often, this is done: a resumed
    training ends with those of an undisturbed one up to rounding.
    """
    if world.size == 1:
        return
    batch_norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    norms = [norm for norm in batch_norms if norm.training]  # a frozen network's statistics are the same on all ranks
    buffers = [buffer for norm in norms for buffer in (norm.running_mean, norm.running_var) if buffer is not None]
    if not buffers:
        return
    together = torch.cat([buffer.flatten() for buffer in buffers])
    dist.all_reduce(together)
    together /= world.size
    for buffer, mean in zip(buffers, torch.split(together, [buffer.numel() for buffer in buffers]), strict=True):
        buffer.copy_(mean.view_as(buffer))


def gather(values: Tensor, world: World) -> Tensor:
    """Every rank's `values` (n,), on the CPU: (size,n), a row a rank. All ranks must call it with the same n."""
    if world.size == 1:
        return values[None].cpu()
    gathered = values.new_empty(world.size, len(values))
    dist.all_gather(list(gathered.unbind()), values.contiguous())
    return gathered.cpu()


def check_agreement(step: int, world: World) -> None:
    """Refuse a world whose ranks would start from different steps (a resume folder that not all of them see).

    Raises:
        PipelineError: names the steps.
    """
    steps = gather(torch.tensor([step], device=world.device), world)[:, 0].tolist()
    if len(set(steps)) > 1:
        raise PipelineError(
            "The processes would resume from different steps; the resume folder must be shared by all machines.",
            got=f"steps {steps}",
        )


class StopVote:
    """Whether any rank was asked to stop, agreed on by all of them at the same step.

    The answer comes one step late: a vote travels (on gloo, from CPU to CPU) while the next step computes, so neither GPU
    nor training waits for it. It also finds a dead rank within a step where nccl would notice at its timeout only.
    """

    def __init__(self, world: World) -> None:
        self._group = dist.new_group(backend="gloo") if world.size > 1 else None
        self._vote, self._pending = torch.zeros(1), None

    def cast(self, stop: bool) -> bool:
        """This rank's vote of this step; True if any rank's was true at the step before (a world of one: at this one)."""
        if self._group is None:
            return stop
        decided = self.finish()
        self._vote = torch.tensor([float(stop)])
        self._pending = dist.all_reduce(self._vote, group=self._group, async_op=True)
        return decided

    def finish(self) -> bool:
        """Wait for the vote that is under way; True if it was to stop."""
        if self._pending is None:
            return False
        self._pending.wait()
        self._pending = None
        return bool(self._vote.item())


@contextmanager
def lost_ranks_named(world: World) -> Iterator[None]:
    """Turn a failed exchange between ranks into an error that names those that are gone.

    A killed process closes its connections, which the others see at their next exchange; they then call the roll.

    Raises:
        PipelineError: names the ranks that did not answer within ROLL_CALL_S.
    """
    try:
        yield
    except RuntimeError as error:
        is_exchange = isinstance(error, dist.DistError) or "gloo" in str(error).lower()
        if world.size == 1 or not is_exchange:
            raise
        lost = roll_call(world, ROLL_CALL_S)
        raise PipelineError(
            "An exchange between the training processes failed; run the stage again to go on from its last checkpoint.",
            got=f"no answer from rank {', '.join(map(str, lost))} of {world.size}" if lost else error,
        ) from error
