"""Embeddings of occluded faces by an IResNet, computed only where an occluder is seen.

A black square changes a map of the first layers in a window around it and nowhere else. So the clean face goes through
the network once, and for each square every convolution computes its window alone, from the changed window before it and
the clean map around that. A window grows by a ring of pixels with each 3x3 convolution until it is the whole map; from
there on all is computed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from pipeline_lib.networks.backbones.iresnet import Block, IResNet
from pipeline_lib.why.explanation.shared.occluders import BLACK, Squares


@dataclass(frozen=True)
class _Windows:
    """What differs from the clean map: values (B,C,W,W), and the row and column (B,2) in the map where each window
    begins.

    It may reach further than the difference, never less far.
    """

    values: Tensor
    starts: Tensor

    @property
    def side(self) -> int:
        """W."""
        return self.values.shape[-1]

    def each(self, function: Callable[[Tensor], Tensor]) -> "_Windows":
        """Through a layer that sees single pixels."""
        return replace(self, values=function(self.values))


def embed_occluded(network: IResNet, image: Tensor, squares: Squares, images_per_batch: int) -> Tensor:
    """Embed one face under each of many squares.

    Args:
        network: in eval mode.
        image: float32 (3, 112, 112) in network space, on the network's device.
        images_per_batch: windows that go through the network at once.

    Returns:
        float32 (N, D), equal to network(occluded image) up to rounding.
    """
    clean = _clean_maps(network, image)
    found = None
    for side in np.unique(squares[:, 2]).tolist():
        rows = np.flatnonzero(squares[:, 2] == side)
        for first in range(0, len(rows), images_per_batch):
            batch = rows[first : first + images_per_batch]
            starts = torch.from_numpy(squares[batch, 1::-1].copy()).to(image.device)
            vectors = _embed(network, clean, image.new_full((len(batch), 3, side, side), BLACK), starts)
            found = vectors.new_empty(len(squares), vectors.shape[1]) if found is None else found
            found[torch.from_numpy(batch).to(image.device)] = vectors
    assert found is not None, "there are squares"
    return found


def _clean_maps(network: IResNet, image: Tensor) -> dict[nn.Module, Tensor]:
    """The clean face's map before each block, each 3x3 convolution and bn2, (H+2,H+2,C): channels last, in a ring of
    zeros.

    Zeros are what a convolution pads with, so a window at the border needs no case of its own.
    """
    found: dict[nn.Module, Tensor] = {}

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found[layer] = pad(inputs[0][0], (1, 1, 1, 1)).permute(1, 2, 0).contiguous()

    blocks = [module for module in network.modules() if isinstance(module, Block)]
    layers = [network.conv1, network.bn2, *blocks, *(conv for block in blocks for conv in (block.conv1, block.conv2))]
    hooks = [layer.register_forward_pre_hook(keep) for layer in layers]
    try:
        network(image[None])
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _embed(network: IResNet, clean: dict[nn.Module, Tensor], squares: Tensor, starts: Tensor) -> Tensor:
    at = _convolved(network.conv1, clean[network.conv1], _Windows(squares, starts))
    at = at.each(network.bn1).each(network.prelu)
    for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
        for block in cast(Iterable[Block], stage):
            at = _through(block, clean, at)
    last = clean[network.bn2]
    whole = _cut(last, at, torch.zeros_like(at.starts), len(last) - 2)
    vectors: Tensor = network.features(network.fc(network.bn2(whole).flatten(1)))
    return vectors


def _through(block: Block, clean: dict[nn.Module, Tensor], at: _Windows) -> _Windows:
    """A residual block; see Block.forward."""
    if at.side == len(clean[block]) - 2:
        return at.each(block)
    inner = _convolved(block.conv1, clean[block.conv1], at.each(block.bn1)).each(block.bn2).each(block.prelu)
    out = _convolved(block.conv2, clean[block.conv2], inner).each(block.bn3)
    stride = block.conv2.stride[0]
    shortcut = _cut(clean[block], at, out.starts * stride, out.side * stride)
    return out.each(lambda values: values + (shortcut if block.downsample is None else block.downsample(shortcut)))


def _convolved(layer: nn.Conv2d, clean: Tensor, at: _Windows) -> _Windows:
    """A 3x3 convolution with a ring of zeros: output o sees inputs s o - 1 to s o + 1."""
    stride, num_outputs = layer.stride[0], (len(clean) - 3) // layer.stride[0] + 1
    side = min(num_outputs, (at.side + 1) // stride + 1)
    starts = ((at.starts + stride - 2) // stride).clamp(0, num_outputs - side)
    seen = _cut(clean, at, starts * stride - 1, (side - 1) * stride + 3)
    return _Windows(conv2d(seen, layer.weight, layer.bias, stride), starts)


def _cut(clean: Tensor, at: _Windows, starts: Tensor, side: int) -> Tensor:
    """Squares (B,C,side,side) of the changed maps, that hold the windows: `clean` (H+2,H+2,C), and in it the windows.

    `starts` (B,2) are in the map, at -1 or more.
    """
    y, x = (starts[:, :, None] + 1 + torch.arange(side, device=clean.device)).unbind(dim=1)
    found = clean[y[:, :, None], x[:, None, :]]
    y, x = ((at.starts - starts)[:, :, None] + torch.arange(at.side, device=clean.device)).unbind(dim=1)
    batch = torch.arange(len(found), device=clean.device)
    found[batch[:, None, None], y[:, :, None], x[:, None, :]] = at.values.permute(0, 2, 3, 1)
    return found.permute(0, 3, 1, 2)
