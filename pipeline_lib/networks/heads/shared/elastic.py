"""ElasticFace: every sample draws its own margin (Boutros et al. 2022)."""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from pipeline_lib.networks.heads.shared.settings import HeadSettings
from pipeline_lib.networks.heads.shared.softmax_margin import SoftmaxMarginHead


class ElasticSettings(HeadSettings):
    """`margin_std`: in the margin's unit; 0 gives the head without elasticity, with its exact gradient."""

    margin_std: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.05


class ElasticFace(SoftmaxMarginHead):
    """m_i ~ N(m, margin_std²), drawn by whoever draws `noise`: m_i = m + margin_std · noise_i.

    As in the paper m_i is not cut: with 0.5 and 0.05 a negative one is ten deviations away.
    """

    needs_noise = True

    def __init__(self, settings: ElasticSettings, embedding_dim: int, num_classes: int) -> None:
        super().__init__(settings, embedding_dim, num_classes)
        self.margin_std = settings.margin_std

    def margins(self, noise: Tensor | None) -> Tensor:
        """m + margin_std · noise, (B,)."""
        assert noise is not None, "an ElasticFace head needs one normal number per sample"
        return self.margin + self.margin_std * noise
