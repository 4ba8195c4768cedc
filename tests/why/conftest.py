"""Small networks, untrained, and two faces of noise."""

from collections.abc import Callable

import numpy as np
import pytest

from pipeline_lib.networks.backbones.shared.build import build_network, network_spec
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.params.networks import Network
from pipeline_lib.why.explanation.shared.embedder import Embedder

SMALL = {"blocks": [1, 1, 1, 1], "width": 0.0625, "embedding_dim": 16}
KEYS = {
    "rrfnet56": {"arch": "iresnet", **SMALL, "patches": {"side_px": 56, "layout": "cross5"}},
    "rrfnet28": {"arch": "iresnet", **SMALL, "patches": {"side_px": 28, "layout": "no_corners33"}},
    "bagnet17": {"arch": "bagnet", "field_px": 17, **SMALL},
    "bagnet33": {"arch": "bagnet", "field_px": 33, **SMALL},
    "iresnet": {"arch": "iresnet", **SMALL},
}


def _build(name: str) -> FaceNetwork:
    section = Network(**KEYS[name], epochs=0, head={"kind": "none"}, checkpoint="data/none")
    return build_network(network_spec(section, where=name), seed=1).eval()


@pytest.fixture(scope="session")
def network_named() -> Callable[[str], FaceNetwork]:
    """A name of KEYS to a network."""
    return _build


@pytest.fixture(scope="session", params=[False, True], ids=["plain", "mirrored"])
def mirror(request: pytest.FixtureRequest) -> bool:
    """params.embed.mirror, both ways."""
    return bool(request.param)


@pytest.fixture(scope="session")
def embedder(mirror: bool) -> Embedder:
    """Around an RRFNet-56."""
    return Embedder(_build("rrfnet56"), mirror, images_per_batch=3)


@pytest.fixture(scope="session")
def faces() -> np.ndarray:
    """uint8 (2, 112, 112, 3)."""
    return np.random.default_rng(0).integers(0, 256, size=(2, 112, 112, 3)).astype(np.uint8)
