"""Networks in training: their replicas, their optimiser, their running means."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pipeline_lib.core.world import World
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.heads.shared.partial_fc import PartialFC
from pipeline_lib.networks.training.data import Batch
from pipeline_lib.networks.training.distributed import average_running_statistics, replicate
from pipeline_lib.networks.training.trainee import StackedTrainees, Trainee
from pipeline_lib.params.train import Train


class MicroBatch(NamedTuple):
    """Arguments of a Trainee, or of StackedTrainees, on its device."""

    images: Tensor
    labels: Tensor
    drawn: Tensor | None
    noise: Tensor | None


class Learner:
    """Takes steps of SGD (METHODS section 3) on one Trainee, or on several that are computed as one.

    Trainees know nothing of each other: each learns what it would alone, up to the order of sums where they are several.

    Attributes:
        trainees: V by name, on the world's device.
        model: the one trainee, or the StackedTrainees of all.
        optimiser: SGD over everything of `model` that trains.
        averages: by name, the running mean of a network's whole state, batch normalisation's statistics included; empty
            without train.ema_decay.
    """

    def __init__(self, trainees: Mapping[str, Trainee], train: Train, world: World) -> None:
        self.settings, self.world = train, world
        torch.backends.cudnn.benchmark = True  # all micro-batches have one shape: cuDNN tries its kernels once
        self.trainees = {name: trainee.to(world.device).train() for name, trainee in trainees.items()}
        all_of_them = list(self.trainees.values())
        self.model: Trainee | StackedTrainees
        self.model = all_of_them[0] if len(all_of_them) == 1 else StackedTrainees(all_of_them)
        self.optimiser = torch.optim.SGD(
            [parameter for parameter in self.model.parameters() if parameter.requires_grad],
            lr=train.learning_rate,
            momentum=train.momentum,
            weight_decay=train.weight_decay,
            fused=True,
        )
        for group in self.optimiser.param_groups:
            for parameter in group["params"]:
                self.optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        self.averages: dict[str, AveragedModel] = {}
        if train.ema_decay is not None:
            averaging = get_ema_multi_avg_fn(train.ema_decay)  # type: ignore[no-untyped-call]
            for name, trainee in self.trainees.items():
                self.averages[name] = AveragedModel(trainee.network, multi_avg_fn=averaging, use_buffers=True)
        self._replica: nn.Module | None = None
        self._losses: list[Tensor] = []  # (V,) a step, of this rank, on its device, not yet collected
        self._norms: list[Tensor] = []

    def take_step(self, micro_batches: list[MicroBatch], rate: float) -> None:
        """One step of the optimiser over this rank's micro-batches; nothing here waits for the device.

            g = 1/(R·M) Σ over ranks and micro-batches of ∂loss/∂w;  each backbone's part of g clipped to clip_norm

        Args:
            micro_batches: M of them.
            rate: of this step.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        is_whole = len(micro_batches) == 1
        if self.model.has_statistics and not is_whole:
            self._observe(micro_batches)
        total = torch.zeros(len(self.trainees), device=self.world.device)
        for number, micro_batch in enumerate(micro_batches, start=1):
            with self._gradients_sent(number == len(micro_batches)):
                losses = self._replicated()(*micro_batch, is_whole) / len(micro_batches)
                losses.sum().backward()
            total += losses.detach()
        norms = self._clip()
        self.optimiser.step()
        for name, trainee in self.trainees.items():
            if isinstance(trainee.head, PartialFC):
                trainee.head.sgd_step(rate, self.settings.momentum, self.settings.weight_decay)
            if name in self.averages:
                self.averages[name].update_parameters(trainee.network)
        self._losses.append(total)
        self._norms.append(norms)

    @torch.no_grad()
    def _observe(self, micro_batches: list[MicroBatch]) -> None:
        """Show the heads the embeddings of all micro-batches before the first loss: their statistics are of global batches.

        This costs heads with statistics a forward pass more, where there are several micro-batches. What it would change in
        the networks, the running statistics of their batch normalisation, is put back.
        """
        buffers = list(self.model.network.buffers())
        before = [buffer.clone() for buffer in buffers]
        embeddings = [self.model.embed(part.images, part.labels, part.drawn) for part in micro_batches]  # type: ignore[arg-type]
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)
        self.model.observe(torch.cat(embeddings), torch.cat([part.labels for part in micro_batches]))

    def figures(self) -> Tensor:
        """Losses and gradient norms (before clipping) of every step since the last call, float32 (V,2,n) on the device."""
        taken = torch.stack([torch.stack(self._losses), torch.stack(self._norms)])  # (2,n,V)
        self._losses, self._norms = [], []
        return taken.permute(2, 0, 1)

    def agree(self) -> None:
        """Give all ranks the mean of their batch-normalisation statistics; call on all ranks before these are used."""
        for module in (self.model, *self.averages.values()):
            average_running_statistics(module, self.world)

    @contextlib.contextmanager
    def results(self) -> Iterator[dict[str, FaceNetwork]]:
        """The networks as they would come out now (the running means where there are some), in eval mode inside the block."""
        networks = {
            name: cast(FaceNetwork, self.averages[name].module) if self.averages else trainee.network
            for name, trainee in self.trainees.items()
        }
        for network in networks.values():
            network.eval()
        try:
            yield networks
        finally:
            for network in networks.values():
                network.train()

    def finish(self) -> None:
        """Put the results into the networks that were handed in, each in memory of its own again."""
        for name, trainee in self.trainees.items():
            if name in self.averages:
                trainee.network.load_state_dict(self.averages[name].module.state_dict())
            for tensor in (*trainee.network.parameters(), *trainee.network.buffers()):
                tensor.data = tensor.data.clone()

    def state(self) -> dict[str, Tensor]:
        """Every tensor that training goes on from, by name: this learner's own, to be read or written in place.

        The names are those of the trainees alone, whether they are computed as one or not.
        """
        tensors: dict[str, Tensor] = {}
        for name, trainee in self.trainees.items():
            tensors |= {f"{name}/model.{key}": value for key, value in trainee.state_dict().items()}
            if name in self.averages:
                tensors |= {f"{name}/average.{key}": value for key, value in self.averages[name].state_dict().items()}
        for key, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                momentum = self.optimiser.state[parameter]["momentum_buffer"]
                tensors |= {f"{name}/momentum.{key}": part for name, key, part in self._of_trainees(key, momentum)}
        return tensors

    def _of_trainees(self, key: str, tensor: Tensor) -> Iterator[tuple[str, str, Tensor]]:
        """Of a tensor like the model's parameter `key`: each trainee's name, key there, and part."""
        names = list(self.trainees)
        if isinstance(self.model, Trainee):
            yield names[0], key, tensor
        elif key.startswith("network."):
            for name, part in zip(names, self.model.network.parts(tensor), strict=True):
                yield name, key.replace("network.body.", "network.", 1), part
        else:  # heads.3.weight
            _, place, rest = key.split(".", 2)
            yield names[int(place)], f"head.{rest}", tensor

    def _clip(self) -> Tensor:
        """Scale down each network's gradient that is longer than clip_norm; their lengths before, (V,)."""
        limit = self.settings.clip_norm
        if isinstance(self.model, Trainee):
            return clip_grad_norm_(self.model.network.parameters(), limit).detach()[None]
        grads = [parameter.grad for parameter in self.model.network.parameters() if parameter.grad is not None]
        views = [torch.unflatten(grad, 0, (len(self.trainees), -1)) for grad in grads]
        lengths = [torch.linalg.vector_norm(view, dim=list(range(1, view.dim()))) for view in views]
        norms: Tensor = torch.linalg.vector_norm(torch.stack(lengths), dim=0)
        factors = (limit / (norms + 1e-6)).clamp_max(1)  # as clip_grad_norm_
        for view in views:
            view.mul_(factors.view(-1, *[1] * (view.dim() - 1)))
        return norms

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


def pinned(batch: Batch) -> Batch:
    """The batch with its images in page-locked memory, from which a GPU copies by itself; for a thread that loads ahead."""
    return replace(batch, images=[torch.from_numpy(view).pin_memory().numpy() for view in batch.images])


def micro_batches(batch: Batch, views: Sequence[int], size: int, device: torch.device) -> list[MicroBatch]:
    """Views of a rank's batch in parts of `size`, of which the batch is a multiple.

    Copies to a GPU go through pinned memory and wait for nothing; what is pinned already is not copied before.

    Args:
        views: one, for a Trainee, or several, for StackedTrainees.
    """
    num_parts = len(batch.labels) // size
    images = batch.images[views[0]] if len(views) == 1 else np.stack([batch.images[view] for view in views], axis=1)

    def parts(values: npt.NDArray[np.generic] | None) -> Iterable[Tensor | None]:
        if values is None:
            return itertools.repeat(None, num_parts)
        tensor = torch.from_numpy(values)
        if device.type == "cuda":
            tensor = tensor.pin_memory().to(device, non_blocking=True)
        return torch.split(tensor, size)

    columns = (parts(values) for values in (images, batch.labels, batch.drawn, batch.noise))
    return [MicroBatch(*part) for part in zip(*columns, strict=True)]
