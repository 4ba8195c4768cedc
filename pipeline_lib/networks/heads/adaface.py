"""AdaFace: the margin follows the embedding's length, a proxy of image quality (Kim et al. 2022)."""

import math
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from pipeline_lib.networks.heads.shared.settings import Angle, HeadSettings, Scale
from pipeline_lib.networks.heads.shared.softmax_margin import SoftmaxMarginHead

EPSILON = 1e-3  # of the public code: keeps acos differentiable, and σ from 0
SHORTEST, LONGEST = 1e-3, 100.0  # lengths are cut to this range


class Settings(HeadSettings):
    """m in radians.

    Attributes:
        h: concentration: with 1/3, lengths within three σ of μ are told apart.
        t_alpha: 1 forgets all batches before. The paper's 0.01 needs some hundred steps to find μ and σ.
    """

    kind: Literal["adaface"] = "adaface"
    margin: Angle
    h: Scale = 0.333
    t_alpha: Annotated[float, Field(gt=0.0, le=1.0)] = 0.01


class AdaFace(SoftmaxMarginHead):
    """f(cos θ) = cos(θ - m ĥ) - m - m ĥ,   ĥ = clip(h (‖z‖ - μ) / (σ + 1e-3), -1, 1).

    A short embedding (ĥ = -1) gets cos(θ + m), ArcFace's margin; a long one (ĥ = 1) gets cos(θ - m) - 2m. θ - m ĥ is cut
    to [1e-3, π - 1e-3] and every cosine, those to other classes too, to ±(1 - 1e-3), as in the public code. No gradient
    runs through ĥ.

    μ and σ follow the mean and the unbiased standard deviation of the lengths in each global batch with weight t_alpha,
    and take a batch in (`observe`) before it is judged by them. They start at 20 and 100. A global batch of one has σ = 0.
    """

    has_statistics = True
    norm_mean: Tensor
    norm_std: Tensor

    def __init__(self, settings: Settings, embedding_dim: int, num_classes: int) -> None:
        super().__init__(settings, embedding_dim, num_classes)
        self.h, self.t_alpha = settings.h, settings.t_alpha
        self.register_buffer("norm_mean", torch.tensor(20.0))
        self.register_buffer("norm_std", torch.tensor(100.0))

    def update_statistics(self, own: Tensor, norms: Tensor, total: Callable[[Tensor], Tensor]) -> None:
        """See the parent; float64, as Σ n² - (Σ n)² / N loses half of the digits."""
        lengths = norms.clamp(SHORTEST, LONGEST).double()
        count, first, second = total(
            torch.stack([torch.ones_like(lengths).sum(), lengths.sum(), lengths.square().sum()])
        )
        variance = (second - first.square() / count).clamp_min(0) / (count - 1).clamp_min(1)
        self.norm_mean.lerp_((first / count).to(self.norm_mean.dtype), self.t_alpha)
        self.norm_std.lerp_(variance.sqrt().to(self.norm_std.dtype), self.t_alpha)

    def target_cosine(self, cosine: Tensor, norms: Tensor, noise: Tensor | None) -> Tensor:
        """cos(θ - m ĥ) - m - m ĥ."""
        deviation = (norms.clamp(SHORTEST, LONGEST) - self.norm_mean) / (self.norm_std + EPSILON)
        margin = self.margin * (self.h * deviation).clamp(-1, 1)
        angle = _inside(cosine).acos() - margin
        return angle.clamp(EPSILON, math.pi - EPSILON).cos() - self.margin - margin

    def other_cosines(self, cosines: Tensor, own: Tensor) -> Tensor:
        """cos θ cut to ±(1 - 1e-3)."""
        return _inside(cosines)


def build(settings: Settings, embedding_dim: int, num_classes: int) -> SoftmaxMarginHead:
    """The head, with freshly drawn class weights."""
    return AdaFace(settings, embedding_dim, num_classes)


def _inside(cosine: Tensor) -> Tensor:
    return cosine.clamp(EPSILON - 1, 1 - EPSILON)
