"""What is left of a batch normalisation after training, where nothing else was kept of it."""

import torch
from torch import Tensor, nn


class Affine(nn.Module):
    """A gain and a bias a channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C,H,W)."""
        return x * self.weight[:, None, None] + self.bias[:, None, None]
