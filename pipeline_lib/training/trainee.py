"""Network and head as one module, from stored pixels to the loss."""

import torch
from torch import Tensor, nn

from pipeline_lib.backbones.network import FaceNetwork
from pipeline_lib.heads.build import build_head
from pipeline_lib.heads.partial_fc import PartialFC
from pipeline_lib.heads.softmax_margin import SoftmaxMarginHead
from pipeline_lib.training.settings import TrainSettings


class Trainee(nn.Module):
    """What one optimiser trains, and what data-parallel training replicates."""

    def __init__(self, network: FaceNetwork, head: SoftmaxMarginHead | PartialFC) -> None:
        super().__init__()
        self.network = network
        self.head = head

    def forward(self, images: Tensor, labels: Tensor, kept: Tensor | None, noise: Tensor | None) -> Tensor:
        """The mean loss of a batch; the network runs in bfloat16 on GPUs, in float32 on CPUs, where bfloat16 is slower.

        Args:
            images: uint8 RGB (B,S,S,3).
            labels: int64 (B,).
            kept: int64 (B,k), the patches that are not masked, or None.
            noise: float32 (B,), a standard normal number a sample, or None; for heads that draw their margins.
        """
        inputs = images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)  # channels_last, as stored images are
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=images.device.type == "cuda"):
            embeddings = self.network(inputs) if kept is None else self.network(inputs, kept)
        loss: Tensor = self.head(embeddings, labels, noise)
        return loss


def new_trainee(network: FaceNetwork, settings: TrainSettings, num_classes: int) -> Trainee:
    """`network` with a fresh head as `settings` says: the whole on every rank, or PartialFC's shards.

    Raises:
        ParamsError: the head's settings are not possible.
    """
    dim, rate = network.spec.embedding_dim, settings.partial_fc_rate
    if rate is None:
        return Trainee(network, build_head(settings.head, dim, num_classes, settings.seed))
    return Trainee(network, PartialFC(settings.head, dim, num_classes, rate, settings.seed))
