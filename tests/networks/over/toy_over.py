"""A toy of networks/over: one linear layer over the frozen networks' embeddings side by side."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.over.shared.network import OverNetwork, Seen
from pipeline_lib.networks.over.shared.settings import OverSettings

DESCRIPTION = "a toy over others"


class Settings(OverSettings):
    """`bias`: of the layer."""

    arch: Literal["toy_over"] = "toy_over"
    bias: bool = True


class ToyOver(OverNetwork):
    """e = normalised(W [e_1; e_2; ...])."""

    def __init__(self, settings: Settings, frozen: Mapping[str, FaceNetwork]) -> None:
        super().__init__(settings, frozen)
        dim = sum(network.spec.embedding_dim for network in frozen.values())
        self.linear = nn.Linear(dim, settings.embedding_dim, bias=settings.bias)
        self.features = nn.BatchNorm1d(settings.embedding_dim)
        self.grid = next(iter(frozen.values())).grid

    def from_seen(self, seen: Seen) -> tuple[Tensor, Tensor]:
        """See OverNetwork; the patch vectors are those of the first frozen network."""
        found = list(seen.values())
        side_by_side = torch.cat([embedding for embedding, _ in found], dim=1)
        return self.features(self.linear(side_by_side)), found[0][1]


def build(settings: Settings, frozen: Mapping[str, FaceNetwork]) -> FaceNetwork:
    """The layers, with freshly drawn weights."""
    return ToyOver(settings, frozen)
