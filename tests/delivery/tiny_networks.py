"""Networks of every sort, so small that a forward pass takes no time."""

from typing import Any

from pipeline_lib.networks.backbones.shared.build import build_network, network_spec
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.params.networks import Network
from pipeline_lib.params.section import NO_FILE, NONE

UNTRAINED = {"epochs": 0, "head": {"kind": "none"}, "checkpoint": NO_FILE, "teacher": NONE}
RESNET = {"arch": "iresnet", "blocks": [1, 1, 1, 1], "width": 0.125, "embedding_dim": 16}
KEYS: dict[str, dict[str, Any]] = {
    "iresnet": RESNET,
    "rrfnet": {**RESNET, "patches": {"side_px": 56, "layout": "cross5"}},
    "bagnet": {**RESNET, "arch": "bagnet", "field_px": 33},
}
POSITIONS = ("p56_x0_y28", "p56_x28_y28")  # one of a mirrored pair, and one that is its own mirror image


def tiny_network(sort: str, seed: int = 0) -> FaceNetwork:
    """A network with drawn weights, in eval mode."""
    section = Network(**KEYS[sort], **UNTRAINED)
    return build_network(network_spec(section, where="test"), seed).eval()


def tiny_region_network(seed: int) -> FaceNetwork:
    """A network of 56 px patches."""
    section = Network(**RESNET, **UNTRAINED)
    return build_network(network_spec(section, where="test", input_px=56), seed).eval()
