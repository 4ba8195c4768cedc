"""Margins on the angle."""

from torch import Tensor

SMALLEST_SINE_SQUARED = 1e-7  # keeps d(sin)/d(cos) = -cos / sin finite where a sample sits on its class weight


def turned(cosine: Tensor, margin_cosine: float | Tensor, margin_sine: float | Tensor) -> Tensor:
    """cos(θ + m) = cos θ cos m - sin θ sin m, of cos θ (B,) with θ in [0,π], for one m or (B,) of them."""
    sine = (1 - cosine * cosine).clamp_min(SMALLEST_SINE_SQUARED).sqrt()
    return cosine * margin_cosine - sine * margin_sine
