"""UniFace: one threshold for all pairs of sample and class, in place of the softmax (Zhou et al. 2023, UCE loss)."""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import softplus

from pipeline_lib.networks.heads.shared.settings import Cosine, HeadSettings, Scale
from pipeline_lib.networks.heads.shared.softmax_margin import SoftmaxMarginHead


class Settings(HeadSettings):
    """m in cosine.

    Attributes:
        negative_weight: l.
        r: b starts at ln(10 C r); the public code's share of the negatives that enter.
    """

    kind: Literal["uniface"] = "uniface"
    margin: Cosine
    negative_weight: Scale = 1.0
    r: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0


class UniFace(SoftmaxMarginHead):
    """A sigmoid loss per class around one learned threshold b, with CosFace's margin m in cosine:

        loss = mean over the batch of  log(1 + exp(-clip(s (cos_y - m) - b, ±s)))
                                       + l Σ_{j != y} log(1 + exp(clip(s cos_j - b, ±s)))

    All negatives enter.
    """

    is_softmax = False

    def __init__(self, settings: Settings, embedding_dim: int, num_classes: int) -> None:
        super().__init__(settings, embedding_dim, num_classes)
        self.negative_weight = settings.negative_weight
        self.bias = nn.Parameter(torch.tensor(math.log(10 * num_classes * settings.r)))

    def target_cosine(self, cosine: Tensor, norms: Tensor, noise: Tensor | None) -> Tensor:
        """cos θ - m."""
        return cosine - self.margin

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean over the batch of the sum over the classes."""
        decision = (logits - self.bias).clamp(-self.scale, self.scale)
        own = labels[:, None]
        positive = softplus(-decision.gather(1, own)[:, 0])
        negatives = softplus(decision).scatter(1, own, 0.0).sum(dim=1)
        return (positive + self.negative_weight * negatives).mean()


def build(settings: Settings, embedding_dim: int, num_classes: int) -> SoftmaxMarginHead:
    """The head, with freshly drawn class weights."""
    return UniFace(settings, embedding_dim, num_classes)
