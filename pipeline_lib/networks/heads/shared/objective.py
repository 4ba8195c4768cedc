"""What training asks of an objective, whatever it compares embeddings with."""

import abc

from torch import Tensor, nn

from pipeline_lib.networks.heads.shared.settings import ObjectiveSettings


class Objective(nn.Module, abc.ABC):
    """The loss of a batch of embeddings, and what trains beside the network.

    What an embedding is held against (`labels`) is its class, int64, or, of an objective without classes, the teacher's
    embedding of the same view, float32 of unit length and centred.

    Attributes:
        settings: the kind's.
        num_classes: C, the number of training identities; None for an objective without classes.
        needs_noise: whether `forward` is to be given noise.
        has_statistics: whether it follows running statistics of the batches, and `observe` must be called once a step.
        is_softmax: whether the loss is a softmax over classes; PartialFC computes no other.
    """

    settings: ObjectiveSettings
    num_classes: int | None
    needs_noise = False
    has_statistics = False
    is_softmax = False

    def observe(self, embeddings: Tensor, labels: Tensor) -> None:
        """Take a global batch into the running statistics, where `has_statistics`: once a step, on all ranks, before any loss.

        Args:
            embeddings: (B,D), of this rank's whole share.
            labels: of this share; see Objective.
        """
        assert not self.has_statistics, f"{type(self).__name__} says how it observes"

    @abc.abstractmethod
    def forward(self, embeddings: Tensor, labels: Tensor, noise: Tensor | None = None) -> Tensor:
        """The mean loss of a batch, in float32 whatever autocast says.

        Args:
            embeddings: (B,D), any length and float dtype.
            labels: (B,) or (B,D); see Objective.
            noise: float32 (B,), one standard normal number a sample, where `needs_noise`.

        Returns:
            float32 scalar.
        """
