"""The two networks of Mescheder et al. 2018 ("Which Training Methods for GANs do actually Converge?"): residual, not normalised.

Of their choices leaky ReLUs before the convolutions, the residual blocks' factor of 0.1, nearest-neighbour upsampling and average
pooling stand. Ours: a start of 7 x 7 in place of 4 x 4, so that 112 = 7 · 2^4 px come out; channels that double up to
`max_channels`; weights by He et al. 2015, which keep a signal's size where nothing normalises it; a latent brought to length
√d, so that its length tells nothing.
"""

import itertools
from typing import Final

import torch
from torch import Tensor, nn

from pipeline_lib.core.geometry import FACE_PX

START_PX = 7
SLOPE = 0.2  # of the leaky ReLUs


class ResidualBlock(nn.Module):
    """shortcut(x) + 0.1 conv(lrelu(conv(lrelu(x)))), (B,C,H,W) to (B,C',H,W); the shortcut is 1 x 1 where C' is not C."""

    factor: Final[float]

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        hidden = min(num_in, num_out)
        self.factor = 0.1
        self.change = nn.Sequential(
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(num_in, hidden, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(hidden, num_out, 3, padding=1),
        )
        self.shortcut = nn.Identity() if num_in == num_out else nn.Conv2d(num_in, num_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        mapped: Tensor = self.shortcut(x) + self.factor * self.change(x)
        return mapped


class GeneratorNetwork(nn.Module):
    """Latents to faces of `side_px`: a linear layer to 7 x 7, residual blocks with upsampling between them, a convolution to RGB.

    Args:
        latent_dim: d.
        side_px: 28, 56 or 112.
        width: channels of the largest maps; twice as many for every halving of the side, up to `max_channels`.
        max_channels: see width.
    """

    def __init__(self, latent_dim: int, side_px: int, width: int, max_channels: int) -> None:
        super().__init__()
        first, *later = channels_from_start(side_px, width, max_channels)
        layers: list[nn.Module] = [nn.Unflatten(1, (first, START_PX, START_PX)), ResidualBlock(first, first)]
        for num_in, num_out in itertools.pairwise([first, *later]):
            layers += [nn.Upsample(scale_factor=2.0, mode="nearest"), ResidualBlock(num_in, num_out)]
        layers += [nn.LeakyReLU(SLOPE), nn.Conv2d(later[-1], 3, 3, padding=1), nn.Tanh()]
        self.start = nn.Linear(latent_dim, first * START_PX**2)
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Tensor) -> Tensor:
        """Latents float32 (B,d), of any length but 0, to RGB float32 (B,3,S,S) in [-1, 1]."""
        unit = latents * torch.rsqrt(torch.mean(latents * latents, dim=1, keepdim=True) + 1e-8)
        faces: Tensor = self.layers(self.start(unit))
        return faces


class Discriminator(nn.Module):
    """Faces to a number each, high for real ones: the generator's mirror image, with average pooling between its blocks."""

    def __init__(self, side_px: int, width: int, max_channels: int) -> None:
        super().__init__()
        *early, last = channels_from_start(side_px, width, max_channels)[::-1]
        layers: list[nn.Module] = [nn.Conv2d(3, early[0], 3, padding=1)]
        for num_in, num_out in itertools.pairwise([*early, last]):
            layers += [ResidualBlock(num_in, num_out), nn.AvgPool2d(2)]
        layers += [ResidualBlock(last, last), nn.LeakyReLU(SLOPE), nn.Flatten(), nn.Linear(last * START_PX**2, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, faces: Tensor) -> Tensor:
        """RGB float32 (B,3,S,S) in [-1, 1] to logits float32 (B,)."""
        logits: Tensor = self.layers(faces)
        return logits[:, 0]


class FakeFaces(nn.Module):
    """What generator.pt holds: a generator whose faces are brought to 112 px, bilinearly where it makes smaller ones.

    Attributes:
        latent_dim: length of a latent.
    """

    latent_dim: int

    def __init__(self, network: GeneratorNetwork) -> None:
        super().__init__()
        self.network = network
        self.enlarge = nn.Upsample(size=(FACE_PX, FACE_PX), mode="bilinear")  # as it is where it is 112 px
        self.latent_dim = network.start.in_features

    def forward(self, latents: Tensor) -> Tensor:
        """Latents float32 (B,latent_dim), drawn from N(0,1), to RGB float32 (B,3,112,112) in [-1, 1], aligned faces."""
        faces: Tensor = self.enlarge(self.network(latents))
        return faces


def channels_from_start(side_px: int, width: int, max_channels: int) -> list[int]:
    """Channels of maps of 7, 14, ..., side_px: width·side_px/s at side s, at most max_channels."""
    sides = [START_PX]
    while sides[-1] < side_px:
        sides.append(2 * sides[-1])
    assert sides[-1] == side_px, "params.generators allows no other sides"
    return [min(max_channels, width * side_px // side) for side in sides]


def draw_weights(network: GeneratorNetwork | Discriminator, drawn: torch.Generator) -> None:
    """Draw every weight from N(0, 2/((1+slope²)·fan_in)) (He et al. 2015, eq. 15), and set to 0 every bias and the layer that
    makes pixels or logits: both players begin undecided, in the middle of tanh.
    """
    last = [layer for layer in network.layers if isinstance(layer, nn.Conv2d | nn.Linear)][-1]
    for parameter in network.parameters():
        if parameter.dim() > 1 and parameter is not last.weight:
            nn.init.kaiming_normal_(parameter, a=SLOPE, generator=drawn)
        else:
            nn.init.zeros_(parameter)
