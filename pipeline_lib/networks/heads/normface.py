"""NormFace: scaled cosines without a margin (Wang et al. 2017)."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from pipeline_lib.networks.heads.shared.settings import HeadSettings
from pipeline_lib.networks.heads.shared.softmax_margin import SoftmaxMarginHead


class Settings(HeadSettings):
    """A margin other than 0 is refused."""

    kind: Literal["normface"] = "normface"
    margin: Annotated[float, Field(ge=0.0, le=0.0)] = 0.0


class NormFace(SoftmaxMarginHead):
    """f(cos θ) = cos θ."""

    def target_cosine(self, cosine: Tensor, norms: Tensor, noise: Tensor | None) -> Tensor:
        """cos θ."""
        return cosine


def build(settings: Settings, embedding_dim: int, num_classes: int) -> SoftmaxMarginHead:
    """The head, with freshly drawn class weights."""
    return NormFace(settings, embedding_dim, num_classes)
