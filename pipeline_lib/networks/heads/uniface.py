"""UniFace: one threshold for all pairs of sample and class, in place of the softmax (Zhou et al. 2023, UCE loss)."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from pipeline_lib.networks.heads.cosface import CosFace
from pipeline_lib.networks.heads.shared.softmax_margin import check_value


class UniFace(CosFace):
    """A sigmoid loss per class around one learned threshold b, with CosFace's margin m in cosine:

        loss = mean over the batch of  log(1 + exp(-clip(s (cos_y - m) - b, ±s)))
                                       + l Σ_{j != y} log(1 + exp(clip(s cos_j - b, ±s)))

    All negatives enter.

    Args:
        negative_weight: l, above 0.
        r: b starts at ln(10 C r); the public code's share of the negatives that enter, in (0,1].
    """

    def __init__(
        self,
        embedding_dim: int,
        num_classes: int,
        scale: float,
        margin: float,
        negative_weight: float = 1.0,
        r: float = 1.0,
    ) -> None:
        super().__init__(embedding_dim, num_classes, scale, margin)
        check_value("negative_weight", negative_weight, 0 < negative_weight < math.inf, "above 0")
        check_value("r", r, 0 < r <= 1, "above 0, to 1")
        self.negative_weight = negative_weight
        self.bias = nn.Parameter(torch.tensor(math.log(10 * num_classes * r)))

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean over the batch of the sum over the classes."""
        decision = (logits - self.bias).clamp(-self.scale, self.scale)
        own = labels[:, None]
        positive = softplus(-decision.gather(1, own)[:, 0])
        negatives = softplus(decision).scatter(1, own, 0.0).sum(dim=1)
        return (positive + self.negative_weight * negatives).mean()
