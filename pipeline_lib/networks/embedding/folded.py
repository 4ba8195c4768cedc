"""Normalisations folded into the convolution or linear layer before them: the same network with fewer passes over its maps."""

import copy
from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pipeline_lib.networks.backbones.shared.affine import Affine
from pipeline_lib.networks.backbones.shared.network import FaceNetwork

Linear = (nn.Conv2d, nn.Linear)
Normalisation = (_BatchNorm, Affine)


def folded(network: FaceNetwork) -> FaceNetwork:
    """A copy of a network in eval mode, for inference, in which normalisations have gone into the layer before.

        g (W x + c - mean) / sqrt(var + eps) + b  =  W' x + c',   W' = s W,   c' = s (c - mean) + b,   s = g / sqrt(var + eps)

    An Affine has mean 0, var 1 and eps 0. This is exact where a layer's output goes into the normalisation and nowhere else.
    Which those are is seen in one forward pass, whatever the network's code does. A normalisation before a convolution stays,
    as in IResNet's blocks: the convolution pads with zeros that it does not normalise; so does one after a sum.

    Args:
        network: in eval mode, on any device; it is not changed.

    Returns:
        On the same device; equal to `network` up to rounding. Its state dict is another.
    """
    copied = copy.deepcopy(network)
    for layer, norm in _foldable(copied):
        _fold(copied.get_submodule(layer), copied.get_submodule(norm))
        copied.set_submodule(norm, nn.Identity())
    return copied


def _foldable(network: FaceNetwork) -> list[tuple[str, str]]:
    """Names of the layers whose every output goes into one normalisation alone, and of that normalisation."""
    trace = _Trace()
    names = {module: name for name, module in network.named_modules()}
    hooks = [
        module.register_forward_hook(trace.call) for module in names if isinstance(module, (*Linear, *Normalisation))
    ]
    first = next(network.parameters())
    side = network.spec.input_px
    try:
        with torch.no_grad(), trace:
            outputs = network.forward_with_patches(first.new_zeros(1, 3, side, side))
    finally:
        for hook in hooks:
            hook.remove()
    for output in outputs:
        trace.num_uses[id(output)] += 1
    return [(names[layer], names[norm]) for norm, layer in trace.pairs()]


class _Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """What a forward pass computed: how often each tensor was used, and each module's inputs and outputs.

    Tensors are told apart by identity, so all are kept until the end.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.num_uses: dict[int, int] = defaultdict(int)
        self._calls: dict[nn.Module, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        self._kept: list[Any] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count its inputs as used."""
        used = {id(leaf) for leaf in tree_leaves((args, kwargs or {})) if isinstance(leaf, Tensor)}
        for tensor in used:
            self.num_uses[tensor] += 1
        result = function(*args, **(kwargs or {}))
        self._kept.append((args, kwargs, result))
        return result

    def call(self, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        """A forward hook."""
        self._calls[module].append((args[0], output))

    def pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        """Every normalisation with the layer it can be folded into."""
        layer_of = {id(output): module for module, calls in self._calls.items() for _, output in calls}
        found: list[tuple[nn.Module, nn.Module]] = []
        for norm, calls in self._calls.items():
            if not isinstance(norm, Normalisation):
                continue
            layers = {layer_of.get(id(came)) for came, _ in calls}
            layer = next(iter(layers))
            alone = all(self.num_uses[id(came)] == 1 for came, _ in calls)
            if len(layers) == 1 and isinstance(layer, Linear) and alone and len(self._calls[layer]) == len(calls):
                found.append((norm, layer))
        return found


@torch.no_grad()
def _fold(layer: Any, norm: Any) -> None:
    scale, shift = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    if isinstance(norm, _BatchNorm):
        assert norm.running_var is not None
        assert norm.running_mean is not None
        scale, shift = (norm.running_var.double() + norm.eps).rsqrt(), -norm.running_mean.double()
    shift = shift if layer.bias is None else shift + layer.bias.double()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    shift = shift * scale + (0.0 if norm.bias is None else norm.bias.double())
    shape = (-1, *[1] * (layer.weight.dim() - 1))
    weight = (layer.weight.double() * scale.view(shape)).to(layer.weight.dtype)
    layer.weight = nn.Parameter(weight.contiguous(memory_format=_memory_format(layer.weight)))
    layer.bias = nn.Parameter(shift.to(layer.weight.dtype))


def _memory_format(weight: Tensor) -> torch.memory_format:
    return torch.channels_last if weight.dim() == 4 else torch.contiguous_format
