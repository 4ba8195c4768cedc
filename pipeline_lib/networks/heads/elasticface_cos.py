"""ElasticFace-Cos: CosFace whose margin every sample draws (Boutros et al. 2022)."""

from typing import Literal

from torch import Tensor

from pipeline_lib.networks.heads.shared.elastic import ElasticFace, ElasticSettings
from pipeline_lib.networks.heads.shared.settings import Cosine
from pipeline_lib.networks.heads.shared.softmax_margin import SoftmaxMarginHead


class Settings(ElasticSettings):
    """m in cosine."""

    kind: Literal["elasticface_cos"] = "elasticface_cos"
    margin: Cosine


class ElasticCosFace(ElasticFace):
    """f(cos θ) = cos θ - m_i."""

    def target_cosine(self, cosine: Tensor, norms: Tensor, noise: Tensor | None) -> Tensor:
        """cos θ - m_i."""
        return cosine - self.margins(noise)


def build(settings: Settings, embedding_dim: int, num_classes: int) -> SoftmaxMarginHead:
    """The head, with freshly drawn class weights."""
    return ElasticCosFace(settings, embedding_dim, num_classes)
