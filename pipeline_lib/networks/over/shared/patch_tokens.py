"""Patch vectors of a frozen network as tokens of a transformer."""

import torch
from torch import Tensor, nn

from pipeline_lib.networks.backbones.shared.transformer import EncoderLayer
from pipeline_lib.networks.over.shared.settings import OverSettings
from pipeline_lib.params.section import Positive


class TransformerSettings(OverSettings):
    """Over one network: `depth` layers of `heads` heads of `head_dim` values, over tokens of `dim` values."""

    over: tuple[str]
    depth: Positive
    heads: Positive
    dim: Positive = 64
    head_dim: Positive = 32

    def layers(self) -> nn.Sequential:
        """The encoder, (B,T,dim) -> (B,T,dim)."""
        return nn.Sequential(*(EncoderLayer(self.dim, self.heads, self.head_dim) for _ in range(self.depth)))


class PatchTokens(nn.Module):
    """E of the Face-ViT thesis's eq. 4.1: one linear map of every patch vector, which is normalised first.

    The normalisation is ours. It makes a token of single images, which are learned from, as long as one of an image and its
    mirror image added, which are compared where embed.mirror is set; and no scale of a network's map is too large to learn on.
    """

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.proj = nn.Linear(channels, dim)

    def forward(self, patches: Tensor) -> Tensor:
        """(...,K,channels) -> (...,K,dim)."""
        return self.proj(self.norm(patches))  # type: ignore[no-any-return]


def learned(*shape: int) -> nn.Parameter:
    """Tokens or positions, drawn small as in ViT."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(*shape), std=0.02))
