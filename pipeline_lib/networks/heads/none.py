"""No head: of a network that is not trained (epochs 0), or whose own loss is all that it learns from (face_vit's cls)."""

from typing import Literal

import torch
from torch import Tensor

from pipeline_lib.networks.heads.shared.objective import Objective
from pipeline_lib.networks.heads.shared.settings import ObjectiveSettings


class Settings(ObjectiveSettings):
    """No settings."""

    kind: Literal["none"] = "none"


class NoHead(Objective):
    """Adds nothing to the network's own loss, whatever the classes."""

    def __init__(self, settings: Settings, num_classes: int) -> None:
        super().__init__()
        self.settings, self.num_classes = settings, num_classes

    def forward(self, embeddings: Tensor, labels: Tensor, noise: Tensor | None = None) -> Tensor:
        """See Objective: 0."""
        return torch.zeros((), device=embeddings.device)


def build(settings: Settings, embedding_dim: int, num_classes: int) -> Objective:
    """Nothing that trains."""
    return NoHead(settings, num_classes)
