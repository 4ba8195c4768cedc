"""Fusion of two networks' maps with an information bottleneck (Akyash et al. 2023, papers/feature-fusion-vib.md, section III)."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.backbones.shared.transformer import EncoderLayer
from pipeline_lib.networks.over.shared.bottleneck import Bottleneck, divergence
from pipeline_lib.networks.over.shared.common_grid import brought, common_grid
from pipeline_lib.networks.over.shared.cross_attention import CrossLayer
from pipeline_lib.networks.over.shared.network import OverNetwork, Seen
from pipeline_lib.networks.over.shared.patch_tokens import PatchTokens
from pipeline_lib.networks.over.shared.settings import OverSettings
from pipeline_lib.params.section import Positive

DESCRIPTION = "fusion of two networks' maps"


class Settings(OverSettings):
    """What is fused, and how.

    Attributes:
        over: the two networks.
        parts: of the paper's Table I: fused place by place, as wholes, or both.
        beta: weight of the divergence in nats beside the head's loss; 0 draws and does not weigh it; null: no bottleneck, and the
            embedding is mu.
        embedding_dim: K.
        depth, heads, head_dim: of either part's transformer, over tokens of `dim` values.
    """

    arch: Literal["fusion"] = "fusion"
    over: tuple[str, str]
    parts: Literal["local", "global", "both"] = "both"
    beta: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] | None = None
    depth: Positive = 1
    heads: Positive = 4
    dim: Positive = 64
    head_dim: Positive = 16

    @model_validator(mode="after")
    def _two_networks(self) -> Self:
        if self.over[0] == self.over[1]:
            raise ValueError(f"over {', '.join(self.over)}: two networks are fused, not one with itself")
        return self


class LocalPart(nn.Module):
    """F = [X; Y] on one grid,  F + conv1x1(gelu(dw3x3(gelu(conv1x1(F))))),  to `dim` values a cell, transformer encoder.

    All tokens side by side come out, so that places stay apart. The paper's Fig. 1(b) has the convolutions without what stands
    between them; as three linear maps they would be one, so a GELU stands there. It adds F, of 2C channels, and goes on with
    C: a linear map brings one to the other.

    Args:
        settings: see there.
        shape: rows and columns of the grid.
    """

    def __init__(self, settings: Settings, shape: tuple[int, int]) -> None:
        super().__init__()
        self.shape, wide = shape, 2 * settings.dim
        self.mixed = nn.Sequential(
            nn.Conv2d(wide, wide, 1),
            nn.GELU(),
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide),
            nn.GELU(),
            nn.Conv2d(wide, wide, 1),
        )
        self.proj = nn.Linear(wide, settings.dim)
        layers = (EncoderLayer(settings.dim, settings.heads, settings.head_dim) for _ in range(settings.depth))
        self.layers = nn.Sequential(*layers)

    def forward(self, places: Tensor) -> Tensor:
        """F (B,K,2 dim) -> (B,K dim)."""
        feature_map = torch.unflatten(places.transpose(1, 2), 2, self.shape)
        mixed = (feature_map + self.mixed(feature_map)).flatten(2).transpose(1, 2)
        return self.layers(self.proj(mixed)).flatten(1)  # type: ignore[no-any-return]


class GlobalPart(nn.Module):
    """[F_1; F_2]: the mean of Y asks the places of X, and the mean of X those of Y (the paper's Fig. 1(c)).

    Each map keeps its own grid here.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        sizes = (settings.dim, settings.heads, settings.head_dim)
        self.layers_x, self.layers_y = (
            nn.ModuleList(CrossLayer(*sizes) for _ in range(settings.depth)) for _ in range(2)
        )

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Maps (B,K_x,dim), (B,K_y,dim) -> (B,2 dim)."""
        found = []
        for query, places, layers in ((y, x, self.layers_x), (x, y, self.layers_y)):
            token = query.mean(dim=1, keepdim=True)
            for layer in layers:
                token = layer(token, places)
            found.append(token[:, 0])
        return torch.cat(found, dim=1)


class Fusion(OverNetwork):
    """See the module.

        X, Y = linear maps of both networks' patch features, normalised, to `dim` values each
        z    = batch normalisation of [local(X, Y); global(X, Y)]
        e    = mu(z) without noise, mu(z) + sigma(z) ε in training with a bottleneck      (shared.bottleneck)
        loss = the head's of e + beta KL(N(mu, sigma²) ‖ N(0, I)), the mean over the batch        (eq. 7, 8)

    The local part stands on the grid of the network with the fewer cells; the other's cells are averaged where they overlap its
    boxes (shared.common_grid). Patch features are F, both maps side by side on that grid, (B,K,2 dim).
    """

    places_x: Tensor
    places_y: Tensor

    def __init__(self, settings: Settings, frozen: Mapping[str, FaceNetwork]) -> None:
        super().__init__(settings, frozen)
        self.settings = settings
        grids = {name: network.grid for name, network in frozen.items()}
        chosen, shape = common_grid(grids)
        self.grid = grids[chosen]
        for key, name in zip(("places_x", "places_y"), settings.over, strict=True):
            own = np.eye(len(self.grid), dtype=np.float32) if name == chosen else brought(grids[name], self.grid)
            self.register_buffer(key, torch.from_numpy(own), persistent=False)
        self.tokens_x, self.tokens_y = (PatchTokens(self.shapes[name][2], settings.dim) for name in settings.over)
        num_features = 0
        if settings.parts != "global":
            self.local_part = LocalPart(settings, shape)
            num_features += len(self.grid) * settings.dim
        if settings.parts != "local":
            self.global_part = GlobalPart(settings)
            num_features += 2 * settings.dim
        self.norm = nn.BatchNorm1d(num_features)
        if settings.beta is None:
            self.fc = nn.Linear(num_features, settings.embedding_dim)
        else:
            self.bottleneck = Bottleneck(num_features, settings.embedding_dim)

    def from_seen(self, seen: Seen) -> tuple[Tensor, Tensor]:
        """See OverNetwork."""
        features, places = self.features(seen)
        if self.settings.beta is None:
            return self.fc(features), places
        return self.bottleneck(features)[0], places

    def from_seen_with_loss(self, seen: Seen, *beside: Tensor) -> tuple[Tensor, Tensor | None]:
        """See OverNetwork; with a bottleneck `beside` is ε (B,K), which `draw` gives."""
        if self.settings.beta is None:
            return self.from_seen(seen)[0], None
        [noise] = beside
        mean, deviation = self.bottleneck(self.features(seen)[0])
        return mean + deviation * noise, self.settings.beta * divergence(mean, deviation).mean()

    def features(self, seen: Seen) -> tuple[Tensor, Tensor]:
        """z (B,num_features) and F (B,K,2 dim)."""
        patches = (seen[name][1] for name in self.settings.over)
        x, y = (tokens(each) for tokens, each in zip((self.tokens_x, self.tokens_y), patches, strict=True))
        places = torch.cat([self.places_x.to(x.dtype) @ x, self.places_y.to(y.dtype) @ y], dim=2)
        parts = []
        if self.settings.parts != "global":
            parts.append(self.local_part(places))
        if self.settings.parts != "local":
            parts.append(self.global_part(x, y))
        return self.norm(torch.cat(parts, dim=1)), places

    def draw(self, rng: np.random.Generator) -> npt.NDArray[np.float32] | None:
        """See FaceNetwork: ε (K,), standard normal; None without a bottleneck."""
        if self.settings.beta is None:
            return None
        return rng.standard_normal(self.settings.embedding_dim, np.float32)


def build(settings: Settings, frozen: Mapping[str, FaceNetwork]) -> FaceNetwork:
    """The layers, with freshly drawn weights.

    Raises:
        ParamsError: neither network's patches stand in rows and columns.
    """
    return Fusion(settings, frozen)
