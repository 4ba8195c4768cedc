"""Softmax over scaled cosines to the class weights, the base of all margin heads."""

import abc
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, normalize

from pipeline_lib.core.world import sum_over_ranks
from pipeline_lib.networks.heads.shared.objective import Objective
from pipeline_lib.networks.heads.shared.settings import HeadSettings


class SoftmaxMarginHead(Objective):
    """Class weights and the loss; a head differs from its parent by what it puts in the places of the cosines.

        cos_j = ê · ŵ_j,   logit_y = s f(cos_y),   logit_j = s g(cos_j) for j != y,
        loss = mean over the batch of cross-entropy(logits, y)                                         (ArcFace eq. 2-3)

    f is `target_cosine`; g is `other_cosines`, the cosine itself unless a head says otherwise. Both see single samples
    and any subset of the classes, so that PartialFC applies them to its share of the classes. A head holds no random
    state: one with `needs_noise` is given a standard normal number per sample.

    Cosines, logits and loss are computed in float32 whatever autocast says: at s = 64 half a unit of bfloat16 near
    cos = 1 is a logit error of 0.25.

    Args:
        settings: the kind's; s, m.
        embedding_dim: D.
        num_classes: C, the number of training identities.
    """

    settings: HeadSettings
    num_classes: int
    weight: nn.Parameter
    is_softmax = True

    def __init__(self, settings: HeadSettings, embedding_dim: int, num_classes: int) -> None:
        super().__init__()
        assert num_classes >= 1, "a head is of at least one class"
        self.settings = settings
        self.num_classes = num_classes
        self.scale, self.margin = settings.scale, settings.margin
        self.weight = nn.Parameter(torch.empty(num_classes, embedding_dim))
        nn.init.normal_(self.weight, 0.0, 0.01)

    @abc.abstractmethod
    def target_cosine(self, cosine: Tensor, norms: Tensor, noise: Tensor | None) -> Tensor:
        """f: what stands in the place of each sample's cosine to its own class.

        Args:
            cosine: float32 (B,) in [-1,1].
            norms: float32 (B,), the embeddings' lengths, without gradient.
            noise: float32 (B,), standard normal, or None where the head needs none.

        Returns:
            (B,).
        """

    def other_cosines(self, cosines: Tensor, own: Tensor) -> Tensor:
        """g: what stands in the place of the cosines (B,C') to other classes; `own` (B,) are those to a sample's own."""
        return cosines

    def update_statistics(self, own: Tensor, norms: Tensor, total: Callable[[Tensor], Tensor]) -> None:
        """Take a global batch into the running statistics, where `has_statistics`.

        Args:
            own, norms: float32 (B,), cosines to the own class and lengths, without gradient.
            total: from the sum over these B samples to that over the global batch.
        """

    @torch.no_grad()
    def observe(self, embeddings: Tensor, labels: Tensor) -> None:
        """Take a global batch into the running statistics: once a step, on all ranks, before any loss of the step.

        The statistics are then the same however the batch is divided among ranks and micro-batches.

        Args:
            embeddings: (B,D), of this rank's whole share.
            labels: int64 (B,) in [0,C).
        """
        if self.has_statistics:
            with torch.autocast(embeddings.device.type, enabled=False):
                own, norms = own_cosines(embeddings, self.weight[labels])
                self.update_statistics(own, norms, sum_over_ranks)

    def forward(self, embeddings: Tensor, labels: Tensor, noise: Tensor | None = None) -> Tensor:
        """The loss.

        Args:
            embeddings: (B,D), any length and float dtype.
            labels: int64 (B,) in [0,C).
            noise: float32 (B,), one standard normal number per sample, where `needs_noise`.

        Returns:
            float32 scalar, the mean over the batch.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings = embeddings.float()
            norms = torch.linalg.vector_norm(embeddings.detach(), dim=1)
            cosines = linear(normalize(embeddings), normalize(self.weight.float())).clamp(-1, 1)
            return self.loss(self.logits(cosines, labels, norms, noise), labels)

    def logits(self, cosines: Tensor, labels: Tensor, norms: Tensor, noise: Tensor | None) -> Tensor:
        """s f(cos) at the own class, s g(cos) elsewhere, (B,C), from the cosines (B,C) to all classes."""
        own = cosines.gather(1, labels[:, None])[:, 0]
        target = self.target_cosine(own, norms, noise)
        return self.scale * self.other_cosines(cosines, own).scatter(1, labels[:, None], target[:, None])

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy of (B,C)."""
        return cross_entropy(logits, labels)


def own_cosines(embeddings: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines of embeddings (B,D) to the weights (B,D) of their own classes, and the embeddings' lengths: float32 (B,) each."""
    embeddings, weights = embeddings.float(), weights.float()
    cosines = (normalize(embeddings) * normalize(weights)).sum(dim=1).clamp(-1, 1)
    return cosines, torch.linalg.vector_norm(embeddings, dim=1)
