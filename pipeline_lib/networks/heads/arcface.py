"""ArcFace: an additive margin on the angle (Deng et al. 2019, eq. 3)."""

import math
from typing import Literal

from torch import Tensor

from pipeline_lib.networks.heads.shared.angles import turned
from pipeline_lib.networks.heads.shared.settings import Angle, HeadSettings
from pipeline_lib.networks.heads.shared.softmax_margin import SoftmaxMarginHead


class Settings(HeadSettings):
    """m in radians; `gradient`: see ArcFace."""

    kind: Literal["arcface"] = "arcface"
    margin: Angle
    gradient: Literal["straight_through", "exact"] = "straight_through"


class ArcFace(SoftmaxMarginHead):
    """f(cos θ) = cos(θ + m).

    `gradient`: ArcFace's public training code computes f outside autograd, so its gradient is that of f(cos) = cos, and
    dL/dcos_y = s (p_y - 1) without the factor sin(θ + m) / sin θ of the formula. Published networks, RRFNet's among
    them, were trained so: straight_through does the same; exact differentiates the formula. Like that code, and
    unlike older ones, nothing special is done beyond θ = π - m, where f rises again.
    """

    def __init__(self, settings: Settings, embedding_dim: int, num_classes: int) -> None:
        super().__init__(settings, embedding_dim, num_classes)
        self.gradient = settings.gradient

    def target_cosine(self, cosine: Tensor, norms: Tensor, noise: Tensor | None) -> Tensor:
        """cos(θ + m)."""
        moved = turned(cosine, math.cos(self.margin), math.sin(self.margin))
        if self.gradient == "exact":
            return moved
        return cosine + (moved - cosine).detach()


def build(settings: Settings, embedding_dim: int, num_classes: int) -> SoftmaxMarginHead:
    """The head, with freshly drawn class weights."""
    return ArcFace(settings, embedding_dim, num_classes)
