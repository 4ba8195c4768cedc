"""ViT: a face as squares that attend to each other (Dosovitskiy et al. 2021); model V of the Face-ViT thesis."""

from typing import Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn

from pipeline_lib.networks.backbones.shared.network import FaceNetwork, cell_grid, cells, scaled_channels
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
from pipeline_lib.networks.backbones.shared.transformer import EncoderLayer
from pipeline_lib.params.section import AboveZero, Positive

DESCRIPTION = "ViT, a vision transformer"
STACKABLE = False
TOKEN_DIM, HEAD_DIM = 512, 64


class Spec(NetworkSpec):
    """`depth` layers of `heads` heads over squares of `token_px`; `width` multiplies the tokens' and heads' lengths."""

    arch: Literal["vit"] = "vit"
    depth: Positive
    heads: Positive
    token_px: Positive
    width: AboveZero = 1.0

    @model_validator(mode="after")
    def _squares_tile_the_input(self) -> Self:
        if self.side_px % self.token_px:
            divisors = [side for side in range(1, self.side_px + 1) if self.side_px % side == 0]
            raise ValueError(f"token_px {self.token_px}: a divisor of {self.side_px} px is needed, of {divisors}")
        return self


class PatchEmbed(nn.Module):
    """One linear map of each square's pixels, written as a convolution of kernel and stride token_px."""

    def __init__(self, token_px: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, token_px, token_px)

    def forward(self, images: Tensor) -> Tensor:
        """(B,3,S,S) -> (B,(S/token_px)^2,dim), row by row."""
        return cells(self.proj(images))


class ViT(FaceNetwork):
    """Vision transformer with the embedding read from its class token.

        z_0 = [class; squares x E] + positions,  z_l = layer_l(z_{l-1}),  e = features(fc(norm(z_L)[0]))

    Model V has depth 20, 8 heads and 512-d features of the class token (sections 4.2, 5.3.1) over a 14x14 map (section
    5.4), so token_px = 8; at width 1 tokens have 512 and heads 64 values, the MLP 2048, as in its public code. `width`
    multiplies them. Keys are named as in timm's ViTs (cls_token, pos_embed, patch_embed.proj, blocks.i.{norm1,
    attn.qkv, attn.proj, norm2, mlp.fc1, mlp.fc2}, norm), then fc and `features` (BatchNorm1d, weight frozen at 1). Patch
    features are the other tokens after norm (512 * width values), the grid their squares; like every token they have
    seen the whole image.

    Deviations from model V: fc and features, as in the other networks here, so that D is free of the token length;
    logits over sqrt(64), the length of a head (ViT), where its public code takes the 512 of a token; no dropout, which
    that code has at 0.1.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        dim, head_dim = scaled_channels(TOKEN_DIM, spec.width), scaled_channels(HEAD_DIM, spec.width)
        num_rows = spec.input_px // spec.token_px
        self.patch_embed = PatchEmbed(spec.token_px, dim)
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + num_rows**2, dim))
        self.blocks = nn.Sequential(*(EncoderLayer(dim, spec.heads, head_dim) for _ in range(spec.depth)))
        self.norm = nn.LayerNorm(dim)
        self.fc = nn.Linear(dim, spec.embedding_dim)
        self.features = nn.BatchNorm1d(spec.embedding_dim)
        self.features.weight.requires_grad_(False)
        for parameter in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(parameter, std=0.02)
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.grid = cell_grid(num_rows, num_rows, spec.token_px)

    def forward_with_patches(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See FaceNetwork; patch vectors (B,K,512 * width)."""
        squares = self.patch_embed(images)
        first = self.cls_token.expand(squares.shape[0], -1, -1)
        tokens = torch.cat([first, squares], dim=1) + self.pos_embed
        tokens = self.norm(self.blocks(tokens))
        return self.features(self.fc(tokens[:, 0])), tokens[:, 1:]


def build(spec: Spec) -> FaceNetwork:
    """The layers, with freshly drawn weights."""
    return ViT(spec)
