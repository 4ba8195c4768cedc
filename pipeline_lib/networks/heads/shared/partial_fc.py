"""PartialFC: class weights sharded over ranks, and a sample of them in each step (An et al. 2022)."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.core.world import sum_over_ranks
from pipeline_lib.networks.heads.shared.build import build_head
from pipeline_lib.networks.heads.shared.class_sample import local_class_range, sample_classes
from pipeline_lib.networks.heads.shared.collectives import (
    gather_embeddings,
    gather_rows,
    log_sum_exp_over_ranks,
    rank_and_size,
    sum_parts,
)
from pipeline_lib.networks.heads.shared.settings import ObjectiveSettings
from pipeline_lib.networks.heads.shared.softmax_margin import SoftmaxMarginHead, own_cosines

INITIAL_STD = 0.01
BLOCK_ROWS = 1024  # weights are drawn in blocks of the class number, so that no world size changes them


class PartialFC(nn.Module):
    """A softmax margin head over all ranks, of which this one holds the classes class_range(C, rank, size).

        loss = mean over the global batch of  log Σ_{j in sample} exp(logit_j) - logit_y

    The sample of a step is, on each rank, the global batch's classes and random others (class_sample). With rate 1 loss
    and gradients are those of the whole head on the global batch. Unlike the public code's, the loss does not saturate.

    `weight` (and `momentum`) are plain tensors, neither parameters nor buffers: no optimiser of others, DDP or state dict
    touches the shard; `to` moves it. In a step a copy of the sampled rows is the leaf that autograd sees; their gradient
    is kept until `sgd_step`. Beside the two, nothing has the shard's size (at rates below 1). Shards are saved by
    partial_fc_shards. In the state dict are `step` and the rule's running statistics, equal on all ranks.

    Args:
        settings: of a head whose loss is a softmax.
        embedding_dim, num_classes: D, C of the whole head; at least one class a rank.
        rate: share of a rank's classes in a step, in (0,1]: max(1, int(rate · local classes)), or the positives if more.
        seed: of weights, the same at any world size, and of samples.

    Raises:
        ParamsError: the rate or the number of classes is not possible, or the head has no softmax.
    """

    step: Tensor
    needs_noise: bool
    has_statistics: bool

    def __init__(
        self, settings: ObjectiveSettings, embedding_dim: int, num_classes: int, rate: float, seed: int = 0
    ) -> None:
        super().__init__()
        _, size = rank_and_size()
        if not 0 < rate <= 1:
            raise ParamsError("PartialFC cannot sample this share of the classes.", got=rate, allowed="above 0, to 1")
        if num_classes < size:
            raise ParamsError("PartialFC needs a class for each rank.", got=num_classes, allowed=f"at least {size}")
        self.num_classes = num_classes
        self.first, self.last = local_class_range(num_classes)
        self.num_sampled = max(1, int(rate * (self.last - self.first)))
        self.seed = seed
        rule = build_head(settings, embedding_dim, self.last - self.first)
        if not (isinstance(rule, SoftmaxMarginHead) and rule.is_softmax):
            raise ParamsError(
                f"PartialFC needs a softmax; {settings.kind} has none.",
                got=settings.kind,
                allowed="another head, or train.partial_fc_rate: null",
                where="head.kind",
            )
        self.settings, self.rule = settings, rule
        self.weight: Tensor = self.rule.weight.detach()
        del self.rule.weight
        draw_weights(self.weight, self.first, seed)
        self.momentum = torch.zeros_like(self.weight)
        self.needs_noise, self.has_statistics = self.rule.needs_noise, self.rule.has_statistics
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.pending: tuple[Tensor, Tensor] | None = None  # rows and gradient since the last sgd_step

    def forward(self, embeddings: Tensor, labels: Tensor, noise: Tensor | None = None) -> Tensor:
        """The loss of the global batch, the same number on all ranks, which must all call it, with the same B.

        Backward leaves the weights' gradient here and gives the embeddings theirs, such that a backbone whose gradients
        are averaged over ranks gets that of this loss (collectives.gather_embeddings).

        Args:
            embeddings: (B,D) of this rank, any length and float dtype.
            labels: int64 (B,) in [0,C).
            noise: float32 (B,), one standard normal number per sample, where `needs_noise`.

        Returns:
            float32 scalar.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings, labels = gather_embeddings(embeddings.float()), gather_rows(labels)
            noise = None if noise is None else gather_rows(noise)
            norms = torch.linalg.vector_norm(embeddings.detach(), dim=1)
            index = sample_classes(labels, self.first, self.last, self.num_sampled, self.seed, self.step)
            cosines = linear(normalize(embeddings), normalize(self._rows(index))).clamp(-1, 1)

            mine = (labels >= self.first) & (labels < self.last)
            column = torch.searchsorted(index, labels - self.first).clamp_max(len(index) - 1)[:, None]
            own = sum_parts(torch.where(mine, cosines.gather(1, column)[:, 0], 0))
            target = self.rule.target_cosine(own, norms, noise)
            others = self.rule.other_cosines(cosines, own)
            placed = torch.where(mine, target, others.gather(1, column)[:, 0])
            local = (self.rule.scale * others.scatter(1, column, placed[:, None])).logsumexp(dim=1)
            return (log_sum_exp_over_ranks(local) - self.rule.scale * target).mean()

    @torch.no_grad()
    def observe(self, embeddings: Tensor, labels: Tensor) -> None:
        """As SoftmaxMarginHead.observe; each rank knows the cosines to its own classes."""
        if not self.has_statistics:
            return
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings, labels = gather_rows(embeddings.float()), gather_rows(labels)
            mine = (labels >= self.first) & (labels < self.last)
            cosines, norms = own_cosines(embeddings, self.weight[torch.where(mine, labels - self.first, 0)])
            own = sum_over_ranks(torch.where(mine, cosines, 0))
            self.rule.update_statistics(own, norms, lambda sums: sums)  # of the global batch already

    def _rows(self, index: Tensor) -> Tensor:
        rows = self.weight[index].requires_grad_()

        def collect(leaf: Tensor) -> None:
            assert leaf.grad is not None
            self.pending = _added(self.pending, (index, leaf.grad))
            leaf.grad = None

        rows.register_post_accumulate_grad_hook(collect)  # type: ignore[no-untyped-call]
        return rows

    @torch.no_grad()
    def sgd_step(self, learning_rate: float, momentum: float, weight_decay: float) -> None:
        """One step on the rows that were sampled since the last one; the gradients of several backward passes add up.

            v <- momentum · v + gradient + weight_decay · w,   w <- w - learning_rate · v

        as torch.optim.SGD has it; rows that were not sampled keep w and v, without decay, as in the public code.
        """
        assert self.pending is not None, "sgd_step follows a backward pass"
        index, gradient = self.pending
        rows = self.weight[index]
        velocity = self.momentum[index].mul_(momentum).add_(gradient).add_(rows, alpha=weight_decay)
        self.momentum[index] = velocity
        self.weight[index] = rows.sub_(velocity, alpha=learning_rate)
        self.pending = None
        self.step += 1

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "PartialFC":
        """What `to`, `cuda` and their kin call."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.weight, self.momentum = fn(self.weight), fn(self.momentum)
        return self


def draw_weights(weight: Tensor, first: int, seed: int) -> None:
    """Fill the rows (n,D) of the classes from `first` on with N(0, 0.01²), a function of seed and class alone."""
    last, dim = first + len(weight), weight.shape[1]
    for block in range(first // BLOCK_ROWS, -(-last // BLOCK_ROWS)):
        drawn = np.random.default_rng([seed % 2**64, block]).standard_normal((BLOCK_ROWS, dim), dtype=np.float32)
        rows = torch.from_numpy(drawn).mul_(INITIAL_STD)
        start = block * BLOCK_ROWS
        a, b = max(first, start), min(last, start + BLOCK_ROWS)
        weight[a - first : b - first] = rows[a - start : b - start]


def _added(one: tuple[Tensor, Tensor] | None, other: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The sum of two gradients of different rows, as the rows of either and their gradient."""
    if one is None:
        return other
    index, place = torch.unique(torch.cat([one[0], other[0]]), return_inverse=True)
    total = other[1].new_zeros(len(index), other[1].shape[1])
    total.index_add_(0, place[: len(one[0])], one[1])
    total.index_add_(0, place[len(one[0]) :], other[1])
    return index, total
