"""Several networks of one shape computed as one: their channels side by side, their weights still their own."""

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline_lib.networks.backbones.shared.network import FaceNetwork

# A kind is STACKABLE if it is made of these layers, and of no other with weights.
LAYERS = (nn.Conv2d, nn.Linear, nn.PReLU, _BatchNorm)


class StackedNetworks(nn.Module):
    """V networks of one spec as one: convolutions in groups, every other layer over V times the channels.

    Each network sees its own images and nothing of the others, so it gives, and learns, what it would alone, up to the
    order of sums. A layer's V weights lie one after another in one tensor, and the networks' own become views of it: what
    an optimiser, batch normalisation or a checkpoint writes in place on one side is there on the other too.

    Args:
        networks: V of one spec, of a STACKABLE kind, on one device.
    """

    def __init__(self, networks: Sequence[FaceNetwork]) -> None:
        super().__init__()
        self.num_networks = len(networks)
        self.body = copy.deepcopy(networks[0])
        for name, layer in list(self.body.named_modules()):
            if not isinstance(layer, LAYERS):
                continue
            own = [network.get_submodule(name) for network in networks]
            self._share_weights(layer, own)
            self._share_statistics(layer, own)
            if isinstance(layer, nn.Conv2d):
                layer.groups *= self.num_networks
            elif isinstance(layer, nn.Linear):
                self.body.set_submodule(name, _StackedLinear(layer, self.num_networks))

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings (B,V,D), each network's of its own images: float (B,V,3,S,S), see FaceNetwork.forward."""
        embeddings: Tensor = self.body(images.flatten(1, 2))
        return embeddings.view(len(images), self.num_networks, -1)

    def parts(self, stacked: Tensor) -> tuple[Tensor, ...]:
        """The V networks' parts, as views, of a tensor shaped like one of this module's parameters."""
        return stacked.chunk(self.num_networks)

    def _share_weights(self, layer: nn.Module, own: list[nn.Module]) -> None:
        for key, _ in list(layer.named_parameters(recurse=False)):
            weights = [cast(nn.Parameter, getattr(one, key)) for one in own]
            stacked = torch.cat([weight.detach() for weight in weights])
            setattr(layer, key, nn.Parameter(stacked, weights[0].requires_grad))
            for weight, part in zip(weights, self.parts(stacked), strict=True):
                weight.data = part

    def _share_statistics(self, layer: nn.Module, own: list[nn.Module]) -> None:
        for key, buffer in list(layer.named_buffers(recurse=False)):
            buffers = [cast(Tensor, getattr(one, key)) for one in own]
            is_count = buffer.dim() == 0  # num_batches_tracked
            stacked = torch.stack(buffers) if is_count else torch.cat(buffers)
            setattr(layer, key, stacked)
            for one, part in zip(own, stacked.unbind() if is_count else self.parts(stacked), strict=True):
                setattr(one, key, part)


def first_map_values(network: FaceNetwork) -> int:
    """Values of the map that the first convolution makes of one image at stride 1: how wide a network is."""
    channels = (layer.out_channels for layer in network.modules() if isinstance(layer, nn.Conv2d))
    return network.spec.input_px**2 * next(channels, 1)


class _StackedLinear(nn.Module):
    """V linear layers side by side, with the weights (V*D,F) of `stacked`."""

    def __init__(self, stacked: nn.Linear, num: int) -> None:
        super().__init__()
        self.weight, self.bias, self.num = stacked.weight, stacked.bias, num

    def forward(self, x: Tensor) -> Tensor:
        """(B,V*F) to (B,V*D)."""
        inputs = x.view(len(x), self.num, -1).transpose(0, 1)  # (V,B,F)
        weights = torch.unflatten(self.weight, 0, (self.num, -1)).transpose(1, 2)  # (V,F,D)
        out = torch.bmm(inputs, weights).transpose(0, 1).flatten(1)
        return out if self.bias is None else out + self.bias
