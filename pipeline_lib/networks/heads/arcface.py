"""ArcFace: an additive margin on the angle (Deng et al. 2019, eq. 3)."""

import math

from torch import Tensor

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.networks.heads.shared.softmax_margin import SoftmaxMarginHead

GRADIENTS = ("straight_through", "exact")
SMALLEST_SINE_SQUARED = 1e-7  # keeps d(sin)/d(cos) = -cos / sin finite where a sample sits on its class weight


def turned(cosine: Tensor, margin_cosine: float | Tensor, margin_sine: float | Tensor) -> Tensor:
    """cos(θ + m) = cos θ cos m - sin θ sin m, of cos θ (B,) with θ in [0,π], for one m or (B,) of them."""
    sine = (1 - cosine * cosine).clamp_min(SMALLEST_SINE_SQUARED).sqrt()
    return cosine * margin_cosine - sine * margin_sine


class ArcFace(SoftmaxMarginHead):
    """f(cos θ) = cos(θ + m), m in radians up to π.

    `gradient`: ArcFace's public training code computes f outside autograd, so its gradient is that of f(cos) = cos, and
    dL/dcos_y = s (p_y - 1) without the factor sin(θ + m) / sin θ of the formula. Published networks, RRFNet's among
    them, were trained so: straight_through does the same; exact differentiates the formula. Like that code, and
    unlike older ones, nothing special is done beyond θ = π - m, where f rises again.
    """

    max_margin = math.pi

    def __init__(
        self, embedding_dim: int, num_classes: int, scale: float, margin: float, gradient: str = "straight_through"
    ) -> None:
        super().__init__(embedding_dim, num_classes, scale, margin)
        if gradient not in GRADIENTS:
            raise ParamsError("An unknown gradient.", got=gradient, allowed=GRADIENTS, where="train.head.gradient")
        self.gradient = gradient

    def target_cosine(self, cosine: Tensor, norms: Tensor, noise: Tensor | None) -> Tensor:
        """cos(θ + m)."""
        moved = turned(cosine, math.cos(self.margin), math.sin(self.margin))
        if self.gradient == "exact":
            return moved
        return cosine + (moved - cosine).detach()
