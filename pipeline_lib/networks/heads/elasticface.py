"""ElasticFace: every sample draws its own margin (Boutros et al. 2022)."""

import math

from torch import Tensor

from pipeline_lib.networks.heads.arcface import turned
from pipeline_lib.networks.heads.shared.softmax_margin import SoftmaxMarginHead, check_value


class ElasticFace(SoftmaxMarginHead):
    """m_i ~ N(m, margin_std²), drawn by whoever draws `noise`: m_i = m + margin_std · noise_i.

    As in the paper m_i is not cut: with 0.5 and 0.05 a negative one is ten deviations away.

    Args:
        margin_std: in the margin's unit, at least 0; 0 gives the head without elasticity, with its exact gradient.
    """

    needs_noise = True

    def __init__(
        self, embedding_dim: int, num_classes: int, scale: float, margin: float, margin_std: float = 0.05
    ) -> None:
        super().__init__(embedding_dim, num_classes, scale, margin)
        check_value("margin_std", margin_std, 0 <= margin_std < math.inf, "at least 0")
        self.margin_std = margin_std

    def margins(self, noise: Tensor | None) -> Tensor:
        """m + margin_std · noise, (B,)."""
        assert noise is not None, "an ElasticFace head needs one normal number per sample"
        return self.margin + self.margin_std * noise


class ElasticArcFace(ElasticFace):
    """f(cos θ) = cos(θ + m_i), m in radians up to π. The gradient is the formula's, as in the public code."""

    max_margin = math.pi

    def target_cosine(self, cosine: Tensor, norms: Tensor, noise: Tensor | None) -> Tensor:
        """cos(θ + m_i)."""
        margins = self.margins(noise)
        return turned(cosine, margins.cos(), margins.sin())


class ElasticCosFace(ElasticFace):
    """f(cos θ) = cos θ - m_i, m in cosine up to 2."""

    max_margin = 2.0

    def target_cosine(self, cosine: Tensor, norms: Tensor, noise: Tensor | None) -> Tensor:
        """cos θ - m_i."""
        return cosine - self.margins(noise)
