"""Softmax over scaled cosines to the class weights, the base of all margin heads."""

import abc
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, normalize

from pipeline_lib.core.errors import ParamsError


class SoftmaxMarginHead(nn.Module, abc.ABC):
    """Class weights and the loss; a head differs from its parent by `target_cosine` alone.

        cos_j = ê · ŵ_j,   logit_j = s cos_j for j != y,   logit_y = s f(cos_y),   loss = mean over the batch of
        cross-entropy(logits, y)                                                                       (ArcFace eq. 2-3)

    Cosines, logits and loss are computed in float32 whatever autocast says: at s = 64 half a unit of bfloat16 near
    cos = 1 is a logit error of 0.25.

    Args:
        embedding_dim: D.
        num_classes: C, the number of training identities.
        scale: s > 0.
        margin: m >= 0, in radians or in cosine as the head says.

    Raises:
        ParamsError: a value is out of range.
    """

    weight: nn.Parameter
    max_margin = math.inf

    def __init__(self, embedding_dim: int, num_classes: int, scale: float, margin: float) -> None:
        super().__init__()
        for key, got, holds, allowed in (
            ("num_classes", num_classes, num_classes >= 1, "at least 1"),
            ("scale", scale, 0 < scale < math.inf, "above 0"),
            ("margin", margin, 0 <= margin <= self.max_margin, f"0 to {self.max_margin:.4g}"),
        ):
            if not holds:
                raise ParamsError(
                    f"A margin head's {key} is not possible.", got=got, allowed=allowed, where="train.head"
                )
        self.scale = scale
        self.margin = margin
        self.weight = nn.Parameter(torch.empty(num_classes, embedding_dim))
        nn.init.normal_(self.weight, 0.0, 0.01)

    @abc.abstractmethod
    def target_cosine(self, cosine: Tensor) -> Tensor:
        """f: what stands in the place of each sample's cosine to its own class; float32 (B,) in [-1,1] to (B,)."""

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss.

        Args:
            embeddings: (B,D), any length and float dtype.
            labels: int64 (B,) in [0,C).

        Returns:
            float32 scalar, the mean over the batch.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            cosines = linear(normalize(embeddings.float()), normalize(self.weight.float())).clamp(-1, 1)
            own = labels[:, None]
            logits = cosines.scatter(1, own, self.target_cosine(cosines.gather(1, own)[:, 0])[:, None])
            return cross_entropy(self.scale * logits, labels)
