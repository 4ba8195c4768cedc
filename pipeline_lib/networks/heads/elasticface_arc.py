"""ElasticFace-Arc: ArcFace whose margin every sample draws (Boutros et al. 2022)."""

from typing import Literal

from torch import Tensor

from pipeline_lib.networks.heads.shared.angles import turned
from pipeline_lib.networks.heads.shared.elastic import ElasticFace, ElasticSettings
from pipeline_lib.networks.heads.shared.settings import Angle
from pipeline_lib.networks.heads.shared.softmax_margin import SoftmaxMarginHead


class Settings(ElasticSettings):
    """m in radians."""

    kind: Literal["elasticface_arc"] = "elasticface_arc"
    margin: Angle


class ElasticArcFace(ElasticFace):
    """f(cos θ) = cos(θ + m_i). The gradient is the formula's, as in the public code."""

    def target_cosine(self, cosine: Tensor, norms: Tensor, noise: Tensor | None) -> Tensor:
        """cos(θ + m_i)."""
        margins = self.margins(noise)
        return turned(cosine, margins.cos(), margins.sin())


def build(settings: Settings, embedding_dim: int, num_classes: int) -> SoftmaxMarginHead:
    """The head, with freshly drawn class weights."""
    return ElasticArcFace(settings, embedding_dim, num_classes)
