"""A prototype of several small networks trained as one model, for benchmarks.regions_together; the engine does not use it."""

import copy
from collections.abc import Sequence
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, replace_all_batch_norm_modules_, stack_module_state, vmap

from pipeline_lib.backbones import iresnet
from pipeline_lib.training.data import Batch
from pipeline_lib.training.settings import TrainSettings
from pipeline_lib.training.trainee import Trainee


class Vectorised:
    """V trainees of one shape as one model over stacked weights: each step the same as V steps of Learner.

    vmap turns their convolutions into grouped ones. It takes neither our PReLU nor channels_last memory, so PyTorch's
    PReLU is put in and maps are contiguous; batch normalisation keeps no running statistics, whose updates in place vmap
    refuses.

    Attributes:
        weights: float32 (V,...) by a trainee's parameter names.
    """

    def __init__(self, trainees: Sequence[Trainee], settings: TrainSettings) -> None:
        plain = [copy.deepcopy(trainee).to(memory_format=torch.contiguous_format) for trainee in trainees]
        for trainee in plain:
            replace_all_batch_norm_modules_(trainee)
            _use_plain_prelu(trainee)
        self.weights, self._buffers = stack_module_state(plain)  # type: ignore[arg-type]
        self._shape, self._clip_norm = plain[0], settings.clip_norm
        self._optimiser = torch.optim.SGD(
            [weight for weight in self.weights.values() if weight.requires_grad],
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            fused=True,
        )

    def take_step(self, batch: Batch, rate: float) -> Tensor:
        """One step of every network on its view of the batch; the losses (V,)."""
        images, labels = torch.from_numpy(np.stack(batch.images)), torch.from_numpy(batch.labels)

        def loss(weights: dict[str, Tensor], buffers: dict[str, Tensor], view: Tensor) -> Tensor:
            return functional_call(self._shape, (weights, buffers), (view, labels, None, None))

        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.zero_grad(set_to_none=True)
        with mock.patch.object(iresnet, "channels_last", lambda images: images):
            losses = vmap(loss)(self.weights, self._buffers, images)
        losses.sum().backward()
        self._clip()
        self._optimiser.step()
        return losses.detach()

    def _clip(self) -> None:
        """As clip_grad_norm_ over the backbone of each network for itself."""
        weights = [weight for name, weight in self.weights.items() if name.startswith("network.")]
        grads = [weight.grad for weight in weights if weight.grad is not None]
        norms = torch.stack([torch.linalg.vector_norm(grad.flatten(1), dim=1) for grad in grads]).norm(dim=0)
        factors = (self._clip_norm / (norms + 1e-6)).clamp_max(1)
        for grad in grads:
            grad.mul_(factors.view(-1, *[1] * (grad.dim() - 1)))


def _use_plain_prelu(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.PReLU):
            plain = nn.PReLU(child.num_parameters)
            plain.load_state_dict(child.state_dict())
            setattr(module, name, plain)
        else:
            _use_plain_prelu(child)
