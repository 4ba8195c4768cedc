"""CurricularFace: hard negatives weigh more as training goes on (Huang et al. 2020)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pipeline_lib.networks.heads.arcface import turned
from pipeline_lib.networks.heads.shared.softmax_margin import SoftmaxMarginHead, check_value


class CurricularFace(SoftmaxMarginHead):
    """f(cos θ) = cos(θ + m), or cos θ - m sin(π - m) once cos θ <= cos(π - m), where cos(θ + m) would rise again;
    g(cos) = cos (t + cos) for a hard negative, one with cos > cos(θ_y + m), else cos. m in radians up to π.

    t follows the mean cosine to the own class over each global batch with weight t_alpha, and takes a batch in before
    it is used; it starts at 0. No gradient runs through t or through the choice of the hard ones. As in the public code,
    that choice is by cos(θ_y + m) even where f is the other branch.

    Args:
        t_alpha: in (0,1]; the paper's is 0.01.
    """

    max_margin = math.pi
    t: Tensor

    def __init__(
        self, embedding_dim: int, num_classes: int, scale: float, margin: float, t_alpha: float = 0.01
    ) -> None:
        super().__init__(embedding_dim, num_classes, scale, margin)
        check_value("t_alpha", t_alpha, 0 < t_alpha <= 1, "above 0, to 1")
        self.t_alpha = t_alpha
        self.register_buffer("t", torch.tensor(0.0))

    def update_statistics(self, own: Tensor, norms: Tensor, total: Callable[[Tensor], Tensor]) -> None:
        """See the parent."""
        count, cosines = total(torch.stack([torch.ones_like(own).sum(), own.sum()]).double())
        self.t.lerp_((cosines / count).to(self.t.dtype), self.t_alpha)

    def target_cosine(self, cosine: Tensor, norms: Tensor, noise: Tensor | None) -> Tensor:
        """cos(θ + m), continued beyond θ = π - m."""
        beyond = cosine - self.margin * math.sin(math.pi - self.margin)
        return torch.where(cosine > math.cos(math.pi - self.margin), self._turned(cosine), beyond)

    def other_cosines(self, cosines: Tensor, own: Tensor) -> Tensor:
        """cos (t + cos) where cos > cos(θ_y + m), else cos."""
        hard = cosines.detach() > self._turned(own.detach())[:, None]
        return torch.where(hard, cosines * (cosines + self.t), cosines)

    def _turned(self, cosine: Tensor) -> Tensor:
        return turned(cosine, math.cos(self.margin), math.sin(self.margin))
