"""A network that forgets what it learned, layer by layer from the top."""

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.over.shared.network import OverNetwork

NUM_STEPS = 5


def cascade(
    network: FaceNetwork, beside: FaceNetwork | None, rng: np.random.Generator
) -> Iterator[tuple[str, FaceNetwork, FaceNetwork | None]]:
    """Copies of a network (one, changed in place) whose top layers are shuffled: a few more at each of NUM_STEPS steps.

    Every tensor of a layer keeps its values and loses their places. Adebayo et al. (2018, Sanity Checks for Saliency Maps) draw
    new weights; the old ones in another order keep the scale of what the layers give, so that normalisations of deep networks,
    whose statistics are shuffled alike, do not overflow.

    Args:
        network: left as it is.
        beside: a network over it, or None; what it stands on is shuffled alike, what it adds is kept.
        rng: of the shuffling.

    Yields:
        The step's layers, by name; the network so far; and `beside` so far.
    """
    shuffled, over = copy.deepcopy((network, beside))
    if isinstance(
        over, OverNetwork
    ):  # the explained network may be folded where the one below is not: it takes its place
        over.frozen.update(
            {name: shuffled for name, below in over.frozen_networks().items() if below.spec == network.spec}
        )
    layers = list(reversed(_layers(shuffled)))
    for step in np.array_split(np.arange(len(layers)), min(NUM_STEPS, len(layers))):
        for index in step:
            _shuffle(layers[index][1], rng)
        yield ", ".join(layers[index][0] for index in step), shuffled, over


def _layers(network: nn.Module) -> list[tuple[str, Sequence[Tensor]]]:
    """Names and float tensors of the network's parts, from the images on; of an RRFNet, those of the network of its patches."""
    parts = {name: _tensors(child) for name, child in network.named_children()}
    own: list[Tensor] = list(network.parameters(recurse=False))
    found: list[tuple[str, Sequence[Tensor]]] = [("own", own)] if own else []
    found += [(name, tensors) for name, tensors in parts.items() if tensors]
    if len(found) == 1 and not own:
        return _layers(network.get_submodule(found[0][0]))
    return found


def _tensors(module: nn.Module) -> list[Tensor]:
    return [value for value in (*module.parameters(), *module.buffers()) if value.is_floating_point()]


@torch.no_grad()
def _shuffle(tensors: Sequence[Tensor], rng: np.random.Generator) -> None:
    for tensor in tensors:
        order = torch.from_numpy(rng.permutation(tensor.numel())).to(tensor.device)
        tensor.copy_(tensor.flatten()[order].view(tensor.shape))
