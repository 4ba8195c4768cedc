"""Sums and gathers over ranks that autograd runs through, for a loss that every rank computes whole.

Every rank ends with the same loss L, of the global batch. Each function's gradient is that of this one L, so nothing is
added up over ranks that is not a share of it. A world without a process group is one rank. All ranks must call each
function, and each backward pass, in the same order and with the same shapes.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def rank_and_size() -> tuple[int, int]:
    """This process's place in the process group; (0, 1) without one."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def gather_rows(rows: Tensor) -> Tensor:
    """(B,...) of every rank to (size·B,...), in order of ranks, without gradient."""
    _, size = rank_and_size()
    if size == 1:
        return rows.detach()
    gathered = rows.new_empty(size * len(rows), *rows.shape[1:])
    dist.all_gather(list(gathered.chunk(size)), rows.detach().contiguous())
    return gathered


def gather_embeddings(embeddings: Tensor) -> Tensor:
    """(B,D) of every rank to (size·B,D), in order of ranks.

    A rank's gradient is the sum over ranks of dL/d(its rows), as each knows L by its own classes only, times size:
    data-parallel training then averages the backbone's gradients over the ranks, and gets that of L.
    """
    gathered: Tensor = _GatherEmbeddings.apply(embeddings)  # type: ignore[no-untyped-call]
    return gathered


def sum_parts(part: Tensor) -> Tensor:
    """Elementwise sum over ranks; the gradient of a rank's part is that of the sum."""
    total: Tensor = _SumParts.apply(part)  # type: ignore[no-untyped-call]
    return total


def log_sum_exp_over_ranks(local: Tensor) -> Tensor:
    """log Σ_r exp(local_r) over ranks, elementwise; the gradient of a rank's part is its share exp(local_r - result).

    The largest is taken out before exp, so no logit is too large or too small for it.
    """
    result: Tensor = _LogSumExp.apply(local)  # type: ignore[no-untyped-call]
    return result


class _GatherEmbeddings(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, embeddings: Tensor) -> Tensor:
        return gather_rows(embeddings)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        _, size = rank_and_size()
        if size == 1:
            return gradient
        own = gradient.new_empty(len(gradient) // size, *gradient.shape[1:])
        dist.reduce_scatter(own, list(gradient.contiguous().chunk(size)))
        return own * size


class _SumParts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        total = part.clone()
        if dist.is_initialized():
            dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class _LogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        largest = local.clone()
        if dist.is_initialized():
            dist.all_reduce(largest, op=dist.ReduceOp.MAX)
        total = (local - largest).exp()
        if dist.is_initialized():
            dist.all_reduce(total)
        result = largest + total.log()
        ctx.save_for_backward(local, result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        local, result = ctx.saved_tensors
        share: Tensor = gradient * (local - result).exp()
        return share
