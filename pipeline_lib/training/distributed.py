"""Data-parallel training over the ranks of a world: one share of each global batch a rank, gradients averaged."""

import warnings

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pipeline_lib.core.errors import ParamsError, PipelineError
from pipeline_lib.core.world import World


def batch_per_rank(batch_size: int, world: World) -> int:
    """A rank's share of the global batch; shares are equal, so the mean of the ranks' gradients is that of the batch.

    Raises:
        ParamsError: the batch does not divide.
    """
    if batch_size % world.size:
        raise ParamsError(
            "The global batch does not divide among the processes.",
            got=f"{batch_size} over {world.size}",
            allowed=f"a multiple of {world.size}",
            where="train.batch_size, train.num_processes",
        )
    return batch_size // world.size


def replicate(model: nn.Module, world: World) -> nn.Module:
    """The model as all ranks train it; a world of one trains it as it is.

    Batch normalisation takes its statistics from each rank's own share, as in the published training, so the running
    statistics are rank 0's, the ones that are saved; they are not sent around, as training never reads them.
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
