"""From a spec to a network."""

import torch

from pipeline_lib.backbones.iresnet import IResNet
from pipeline_lib.backbones.mobilefacenet import MobileFaceNet
from pipeline_lib.backbones.network import FaceNetwork
from pipeline_lib.backbones.rrfnet import RRFNet
from pipeline_lib.backbones.spec import NetworkSpec

_CLASSES: dict[str, type[FaceNetwork]] = {"iresnet": IResNet, "mobilefacenet": MobileFaceNet, "rrfnet": RRFNet}


def build_network(spec: NetworkSpec, seed: int = 0) -> FaceNetwork:
    """A network with freshly drawn weights, in training mode and channels_last memory.

    The same spec and seed give the same weights; PyTorch's global generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _CLASSES[spec.arch](spec)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
