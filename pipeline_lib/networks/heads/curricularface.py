"""CurricularFace: hard negatives weigh more as training goes on (Huang et al. 2020)."""

import math
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from pipeline_lib.networks.heads.shared.angles import turned
from pipeline_lib.networks.heads.shared.settings import Angle, HeadSettings
from pipeline_lib.networks.heads.shared.softmax_margin import SoftmaxMarginHead


class Settings(HeadSettings):
    """m in radians; `t_alpha`: weight of a batch in t, the paper's by default."""

    kind: Literal["curricularface"] = "curricularface"
    margin: Angle
    t_alpha: Annotated[float, Field(gt=0.0, le=1.0)] = 0.01


class CurricularFace(SoftmaxMarginHead):
    """f(cos θ) = cos(θ + m), or cos θ - m sin(π - m) once cos θ <= cos(π - m), where cos(θ + m) would rise again;
    g(cos) = cos (t + cos) for a hard negative, one with cos > cos(θ_y + m), else cos.

    t follows the mean cosine to the own class over each global batch with weight t_alpha, and takes a batch in
    (`observe`) before it is used; it starts at 0. No gradient runs through t or through the choice of the hard ones. As in
    the public code, that choice is by cos(θ_y + m) even where f is the other branch.
    """

    has_statistics = True
    t: Tensor

    def __init__(self, settings: Settings, embedding_dim: int, num_classes: int) -> None:
        super().__init__(settings, embedding_dim, num_classes)
        self.t_alpha = settings.t_alpha
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


def build(settings: Settings, embedding_dim: int, num_classes: int) -> SoftmaxMarginHead:
    """The head, with freshly drawn class weights."""
    return CurricularFace(settings, embedding_dim, num_classes)
