"""One network in training: its replicas, its optimiser, its running mean."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pipeline_lib.backbones.network import FaceNetwork
from pipeline_lib.core.world import World
from pipeline_lib.heads.partial_fc import PartialFC
from pipeline_lib.training.data import Batch
from pipeline_lib.training.distributed import average_running_statistics, replicate
from pipeline_lib.training.settings import TrainSettings
from pipeline_lib.training.trainee import Trainee


class MicroBatch(NamedTuple):
    """Arguments of a Trainee, on its device."""

    images: Tensor
    labels: Tensor
    kept: Tensor | None
    noise: Tensor | None


class Learner:
    """Takes steps of SGD (METHODS section 3) on one Trainee; several learn side by side from the same images.

    Attributes:
        model: the trainee, on the world's device.
        optimiser: SGD over everything of it that trains.
        average: running mean of the network's whole state, batch normalisation's statistics included, or None.
    """

    def __init__(self, model: Trainee, settings: TrainSettings, world: World) -> None:
        self.settings, self.world = settings, world
        self.model = model.to(world.device).train()
        self.optimiser = torch.optim.SGD(
            [parameter for parameter in self.model.parameters() if parameter.requires_grad],
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.average: AveragedModel | None = None
        if settings.ema_decay is not None:
            averaging = get_ema_multi_avg_fn(settings.ema_decay)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(self.model.network, multi_avg_fn=averaging, use_buffers=True)
        self._replica: nn.Module | None = None
        self._losses: list[Tensor] = []  # of this rank, on its device, not yet collected
        self._norms: list[Tensor] = []

    def take_step(self, micro_batches: list[MicroBatch], rate: float) -> None:
        """One step of the optimiser over this rank's micro-batches; nothing here waits for the device.

            g = 1/(R·M) Σ over ranks and micro-batches of ∂loss/∂w;  the backbone's part of g clipped to clip_norm

        Args:
            micro_batches: M of them.
            rate: of this step.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.world.device)
        for number, micro_batch in enumerate(micro_batches, start=1):
            with self._gradients_sent(number == len(micro_batches)):
                loss = self._replicated()(*micro_batch) / len(micro_batches)
                loss.backward()
            total += loss.detach()
        norm = clip_grad_norm_(self.model.network.parameters(), self.settings.clip_norm)
        self.optimiser.step()
        if isinstance(self.model.head, PartialFC):
            self.model.head.sgd_step(rate, self.settings.momentum, self.settings.weight_decay)
        if self.average is not None:
            self.average.update_parameters(self.model.network)
        self._losses.append(total)
        self._norms.append(norm.detach())

    def figures(self) -> Tensor:
        """Loss and gradient norm (before clipping) of every step since the last call, float32 (2,n) on the device."""
        taken = torch.stack([torch.stack(self._losses), torch.stack(self._norms)])
        self._losses, self._norms = [], []
        return taken

    def agree(self) -> None:
        """Give all ranks the mean of their batch-normalisation statistics; call on all ranks before these are used."""
        average_running_statistics(self.model, self.world)
        if self.average is not None:
            average_running_statistics(self.average, self.world)

    @contextlib.contextmanager
    def result(self) -> Iterator[FaceNetwork]:
        """The network as it would come out now (the running mean where there is one), in eval mode inside the block."""
        network = self.model.network if self.average is None else cast(FaceNetwork, self.average.module)
        network.eval()
        try:
            yield network
        finally:
            network.train()

    def finish(self) -> None:
        """Put the result into the network that was handed in."""
        if self.average is not None:
            self.model.network.load_state_dict(self.average.module.state_dict())

    def _replicated(self) -> nn.Module:
        """The replicas are made at the first step, when a checkpoint's weights are in place."""
        if self._replica is None:
            if self.settings.compile:
                self.model.network.compile()
            self._replica = replicate(self.model, self.world)
        return self._replica

    def _gradients_sent(self, last: bool) -> contextlib.AbstractContextManager[None]:
        """Ranks exchange gradients once a step, with the last micro-batch."""
        replica = self._replicated()
        if last or not isinstance(replica, nn.parallel.DistributedDataParallel):
            return contextlib.nullcontext()
        return replica.no_sync()


def micro_batches(batch: Batch, view: int, size: int, device: torch.device) -> list[MicroBatch]:
    """One view of a rank's batch in parts of `size`, of which the batch is a multiple.

    Copies to a GPU go through pinned memory and wait for nothing.
    """
    num_parts = len(batch.labels) // size

    def parts(values: npt.NDArray[np.generic] | None) -> Iterable[Tensor | None]:
        if values is None:
            return itertools.repeat(None, num_parts)
        tensor = torch.from_numpy(values)
        if device.type == "cuda":
            tensor = tensor.pin_memory().to(device, non_blocking=True)
        return torch.split(tensor, size)

    columns = (parts(values) for values in (batch.images[view], batch.labels, batch.kept, batch.noise))
    return [MicroBatch(*part) for part in zip(*columns, strict=True)]
