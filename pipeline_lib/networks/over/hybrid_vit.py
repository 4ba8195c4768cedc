"""H1: a transformer over the patches of one image (Face-ViT thesis, section 4.4; Dosovitskiy et al. 2021, hybrid ViT)."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.over.shared.network import OverNetwork, Seen
from pipeline_lib.networks.over.shared.patch_tokens import PatchTokens, TransformerSettings, learned

DESCRIPTION = "hybrid ViT, a transformer over one image's patches"


class Settings(TransformerSettings):
    """See TransformerSettings; embedding_dim is free."""

    arch: Literal["hybrid_vit"] = "hybrid_vit"


class HybridViT(OverNetwork):
    """Model H1: as the plain ViT (model V, networks.backbones.vit), but its patches come from a frozen network.

        z_0 = [class; patches x E] + positions,  z_l = layer_l(z_{l-1}),  e = features(fc(norm(z_L)[0]))

    Patch features are the other tokens after norm, (B,K,dim), on the frozen network's grid.
    """

    def __init__(self, settings: Settings, frozen: Mapping[str, FaceNetwork]) -> None:
        super().__init__(settings, frozen)
        (self.below,) = settings.over
        _, num_patches, channels = self.shapes[self.below]
        self.grid = frozen[self.below].grid
        self.tokens = PatchTokens(channels, settings.dim)
        self.cls_token = learned(1, 1, settings.dim)
        self.positions = learned(1, 1 + num_patches, settings.dim)
        self.layers = settings.layers()
        self.norm = nn.LayerNorm(settings.dim)
        self.fc = nn.Linear(settings.dim, settings.embedding_dim)
        self.features = nn.BatchNorm1d(settings.embedding_dim)
        self.features.weight.requires_grad_(False)

    def from_seen(self, seen: Seen) -> tuple[Tensor, Tensor]:
        """See OverNetwork."""
        patches = self.tokens(seen[self.below][1])
        first = self.cls_token.expand(len(patches), -1, -1)
        tokens = self.norm(self.layers(torch.cat([first, patches], dim=1) + self.positions))
        return self.features(self.fc(tokens[:, 0])), tokens[:, 1:]


def build(settings: Settings, frozen: Mapping[str, FaceNetwork]) -> FaceNetwork:
    """The layers, with freshly drawn weights."""
    return HybridViT(settings, frozen)
