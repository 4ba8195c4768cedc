"""A network over frozen networks."""

from collections.abc import Mapping
from typing import Self, cast

from torch import nn

from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.over.shared.settings import OverSettings


class OverNetwork(FaceNetwork):
    """Base of the kinds: it holds the frozen networks, which nothing trains.

    They take no gradient and stay in eval mode, also under `train()`: their normalisations keep the statistics they were
    trained with. State-dict keys begin with `frozen.<name>.`, so the network is saved, and loaded, whole.

    Args:
        settings: the kind's.
        frozen: the networks of settings.over, by name.

    Attributes:
        frozen: the same, as modules.
    """

    def __init__(self, settings: OverSettings, frozen: Mapping[str, FaceNetwork]) -> None:
        super().__init__(settings)
        assert tuple(frozen) == settings.over, "frozen networks are those of settings.over"
        self.frozen = nn.ModuleDict(frozen).requires_grad_(False)
        self.train()

    def frozen_networks(self) -> dict[str, FaceNetwork]:
        """See FaceNetwork."""
        return {name: cast(FaceNetwork, network) for name, network in self.frozen.items()}

    def train(self, mode: bool = True) -> Self:
        """nn.Module.train for all but the frozen networks."""
        super().train(mode)
        self.frozen.eval()
        return self
