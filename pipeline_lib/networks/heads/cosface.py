"""CosFace: an additive margin on the cosine (Wang et al. 2018, eq. 4)."""

from typing import Literal

from torch import Tensor

from pipeline_lib.networks.heads.shared.settings import Cosine, HeadSettings
from pipeline_lib.networks.heads.shared.softmax_margin import SoftmaxMarginHead


class Settings(HeadSettings):
    """m in cosine."""

    kind: Literal["cosface"] = "cosface"
    margin: Cosine


class CosFace(SoftmaxMarginHead):
    """f(cos θ) = cos θ - m."""

    def target_cosine(self, cosine: Tensor, norms: Tensor, noise: Tensor | None) -> Tensor:
        """cos θ - m."""
        return cosine - self.margin


def build(settings: Settings, embedding_dim: int, num_classes: int) -> SoftmaxMarginHead:
    """The head, with freshly drawn class weights."""
    return CosFace(settings, embedding_dim, num_classes)
