"""From settings to a head."""

import torch

from pipeline_lib.core.kinds import load_kind
from pipeline_lib.networks.heads.shared.objective import Objective
from pipeline_lib.networks.heads.shared.settings import HEADS, ObjectiveSettings


def build_head(settings: ObjectiveSettings, embedding_dim: int, num_classes: int, seed: int = 0) -> Objective:
    """A head with class weights drawn from `seed`; PyTorch's global generator is left as it was.

    Args:
        settings: the `Settings` of a kind.
        embedding_dim: D.
        num_classes: C, the number of training identities.
        seed: of the weights.
    """
    build = load_kind(HEADS, settings.kind, where="head.kind").build
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head: Objective = build(settings, embedding_dim, num_classes)
    return head
