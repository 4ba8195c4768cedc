"""Distillation without labels: the embedding follows a teacher's of the same picture (METHODS, section 11)."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, autocast
from torch.nn.functional import normalize

from pipeline_lib.networks.heads.shared.objective import Objective
from pipeline_lib.networks.heads.shared.settings import ObjectiveSettings


class Settings(ObjectiveSettings):
    """`relations`: the weight of the second term, 0 for none."""

    kind: Literal["distillation"] = "distillation"
    relations: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 2.0


class Distillation(Objective):
    """The batch's cosines to the teacher, and among themselves as the teacher has them.

        loss = mean_i (1 - ŝ_i · t_i) + relations · mean_ij (ŝ_i · ŝ_j - t_i · t_j)²

    ŝ are the batch's embeddings at unit length, t the teacher's, centred and at unit length. The batch is a forward pass's,
    as batch normalisation's is: a micro-batch of the global one.
    """

    num_classes = None

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.relations = settings.relations

    def forward(self, embeddings: Tensor, labels: Tensor, noise: Tensor | None = None) -> Tensor:
        """See Objective; labels are the teacher's embeddings, float32 (B,D)."""
        with autocast(embeddings.device.type, enabled=False):
            own = normalize(embeddings.float())
            apart = (1 - (own * labels).sum(dim=1)).mean()
            return apart + self.relations * (own @ own.T - labels @ labels.T).square().mean()


def build(settings: Settings, embedding_dim: int, num_classes: int) -> Objective:
    """The objective, which has no weights: the teacher's embeddings have the length embedding_dim."""
    return Distillation(settings)
