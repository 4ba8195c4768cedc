"""Network and head as one module, from stored pixels to the loss."""

import torch
from torch import Tensor, nn

from pipeline_lib.backbones.network import FaceNetwork
from pipeline_lib.heads.softmax_margin import SoftmaxMarginHead


class Trainee(nn.Module):
    """What one optimiser trains, and what data-parallel training replicates."""

    def __init__(self, network: FaceNetwork, head: SoftmaxMarginHead) -> None:
        super().__init__()
        self.network = network
        self.head = head

    def forward(self, images: Tensor, labels: Tensor, kept: Tensor | None) -> Tensor:
        """The mean loss of a batch; the network runs in bfloat16 on GPUs, in float32 on CPUs, where bfloat16 is slower.

        Args:
            images: uint8 RGB (B,S,S,3).
            labels: int64 (B,).
            kept: int64 (B,k), the patches that are not masked, or None.
        """
        inputs = images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)  # channels_last, as stored images are
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=images.device.type == "cuda"):
            embeddings = self.network(inputs) if kept is None else self.network(inputs, kept)
        loss: Tensor = self.head(embeddings, labels)
        return loss
