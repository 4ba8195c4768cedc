"""The variational information bottleneck (Alemi et al. 2017, Deep variational information bottleneck)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHIFT = 5.0  # Alemi et al.: deviations begin near softplus(-5) = 0.0067, so that learning begins almost without noise
MIN_DEVIATION = 1e-4  # softplus underflows where nothing (beta 0) holds deviations up


class Bottleneck(nn.Module):
    """Features to a Gaussian of `dim` values, from which training draws the embedding.

        mu = W z + b,   sigma = softplus(V z + c - 5) + 1e-4
        training: e = mu + sigma ε, ε ~ N(0, I);   inference: e = mu

    Σ is diagonal, as in Alemi et al.; the fusion paper does not say. All of it is float32.

    Args:
        num_in: length of z.
        dim: K.
    """

    def __init__(self, num_in: int, dim: int) -> None:
        super().__init__()
        self.mean, self.deviation = nn.Linear(num_in, dim), nn.Linear(num_in, dim)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """mu and sigma > 0, float32 (B,K) each, of features (B,num_in)."""
        with torch.autocast(features.device.type, enabled=False):
            z = features.float()
            return self.mean(z), F.softplus(self.deviation(z) - SHIFT) + MIN_DEVIATION


def divergence(mean: Tensor, deviation: Tensor) -> Tensor:
    """KL(N(mu, diag(sigma²)) ‖ N(0, I)) of each row in nats, float32 (B,), >= 0.

        KL = 1/2 Σ_k (sigma_k² + mu_k² - 1 - 2 ln sigma_k)

    Args:
        mean, deviation: float32 (B,K); deviation > 0.
    """
    with torch.autocast(mean.device.type, enabled=False):
        mean, deviation = mean.float(), deviation.float()
        return 0.5 * (deviation.square() + mean.square() - 1 - 2 * deviation.log()).sum(dim=1)
