"""From a spec to a network."""

import torch

from pipeline_lib.networks.backbones.bagnet import BagNet
from pipeline_lib.networks.backbones.iresnet import IResNet
from pipeline_lib.networks.backbones.mobilefacenet import MobileFaceNet
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.backbones.shared.rrfnet import RRFNet
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
from pipeline_lib.networks.backbones.vit import ViT

_CLASSES: dict[str, type[FaceNetwork]] = {
    "iresnet": IResNet,
    "mobilefacenet": MobileFaceNet,
    "bagnet17": BagNet,
    "bagnet33": BagNet,
    "vit": ViT,
}


def build_network(spec: NetworkSpec, seed: int = 0) -> FaceNetwork:
    """A network with freshly drawn weights, in training mode and channels_last memory.

    The same spec and seed give the same weights; PyTorch's global generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _layers(spec)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _layers(spec: NetworkSpec) -> FaceNetwork:
    if spec.arch == "rrfnet":
        return RRFNet(spec, _layers(spec.of_patches()))
    return _CLASSES[spec.arch](spec)
