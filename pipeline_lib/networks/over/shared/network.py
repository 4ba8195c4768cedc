"""A network over frozen networks."""

import abc
from collections.abc import Mapping
from typing import Self, cast

import torch
from torch import Tensor, nn

from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.over.shared.settings import OverSettings

# What the frozen networks make of B images, by name: embeddings (B,D) and patch features (B,K,C).
Seen = Mapping[str, tuple[Tensor, Tensor]]


class OverNetwork(FaceNetwork):
    """Base of the kinds: it holds the frozen networks, which nothing trains.

    They take no gradient and stay in eval mode, also under `train()`: their normalisations keep the statistics they were
    trained with. State-dict keys begin with `frozen.<name>.`, so the network is saved, and loaded, whole.

    A kind says what it makes of what the frozen networks see. As that never changes, training may have it from a cache: its
    methods take images, or in their place rows that `packed` made (training.cached_maps).

    Args:
        settings: the kind's.
        frozen: the networks of settings.over, by name.

    Attributes:
        frozen: the same, as modules.
        shapes: of each, D, K and C of what it sees in an image.
    """

    def __init__(self, settings: OverSettings, frozen: Mapping[str, FaceNetwork]) -> None:
        super().__init__(settings)
        assert tuple(frozen) == settings.over, "frozen networks are those of settings.over"
        self.frozen = nn.ModuleDict(frozen).requires_grad_(False)
        self.train()
        self.shapes = {name: _shape(network) for name, network in frozen.items()}

    @abc.abstractmethod
    def from_seen(self, seen: Seen) -> tuple[Tensor, Tensor]:
        """As forward_with_patches, of what the frozen networks see of the images."""

    def from_seen_with_loss(self, seen: Seen, *beside: Tensor) -> tuple[Tensor, Tensor | None]:
        """As forward_with_loss, of what the frozen networks see; `beside`: what that is given beside the images."""
        return self.from_seen(seen)[0], None

    def forward_with_patches(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See FaceNetwork."""
        return self.from_seen(self.seen(images))

    def forward_with_loss(self, *inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """See FaceNetwork."""
        return self.from_seen_with_loss(self.seen(inputs[0]), *inputs[1:])

    def seen(self, images: Tensor) -> Seen:
        """What the frozen networks see of images (B,3,S,S), or the same again of rows (B,F) that `packed` made of it."""
        if images.dim() == 4:
            return {name: network.forward_with_patches(images) for name, network in self.frozen_networks().items()}
        sizes = [size for dim, places, channels in self.shapes.values() for size in (dim, places * channels)]
        parts = iter(torch.split(images, sizes, dim=1))
        return {
            name: (next(parts), torch.unflatten(next(parts), 1, (places, channels)))
            for name, (_, places, channels) in self.shapes.items()
        }

    def packed(self, images: Tensor) -> Tensor:
        """What the frozen networks see of images (B,3,S,S), side by side: float32 (B,F)."""
        parts = [part.float().flatten(1) for both in self.seen(images).values() for part in both]
        return torch.cat(parts, dim=1)

    def frozen_networks(self) -> dict[str, FaceNetwork]:
        """See FaceNetwork."""
        return {name: cast(FaceNetwork, network) for name, network in self.frozen.items()}

    def train(self, mode: bool = True) -> Self:
        """nn.Module.train for all but the frozen networks."""
        super().train(mode)
        self.frozen.eval()
        return self


def _shape(network: FaceNetwork) -> tuple[int, int, int]:
    side = network.spec.input_px
    with torch.no_grad():
        embeddings, patches = network.forward_with_patches(torch.zeros(1, 3, side, side))
    return embeddings.shape[1], patches.shape[1], patches.shape[2]
