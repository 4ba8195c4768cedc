"""A new network kind and a new head: one file each, dropped into a checkout, and an entry of params."""

import json
from pathlib import Path

import pytest
from stage_checkout import copied_checkout, python, train

NETWORK = '''"""A toy: pooled pixels through one linear layer."""

from typing import Literal

import torch
from torch import Tensor, nn

from pipeline_lib.networks.backbones.shared.network import FaceNetwork, cell_grid, cells
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
from pipeline_lib.params.section import Positive

DESCRIPTION = "a toy"
STACKABLE = False


class Spec(NetworkSpec):
    """`pool_px`: side of what is averaged."""

    arch: Literal["toy"] = "toy"
    pool_px: Positive


class Toy(FaceNetwork):
    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.rows = spec.input_px // spec.pool_px
        self.linear = nn.Linear(3 * self.rows**2, spec.embedding_dim)
        self.grid = cell_grid(self.rows, self.rows, spec.pool_px)

    def forward_with_patches(self, images: Tensor) -> tuple[Tensor, Tensor]:
        pooled = nn.functional.avg_pool2d(images, self.spec.pool_px)
        return self.linear(pooled.flatten(1)), cells(pooled)


def build(spec: Spec) -> FaceNetwork:
    return Toy(spec)
'''
MARGIN = '''"""A toy: the square of the margin."""

from typing import Literal

from torch import Tensor

from pipeline_lib.networks.heads.shared.settings import HeadSettings
from pipeline_lib.networks.heads.shared.softmax_margin import SoftmaxMarginHead


class Settings(HeadSettings):
    kind: Literal["squared"] = "squared"
    times: int = 1


class Squared(SoftmaxMarginHead):
    def target_cosine(self, cosine: Tensor, norms: Tensor, noise: Tensor | None) -> Tensor:
        return cosine - self.settings.times * self.margin**2


def build(settings: Settings, embedding_dim: int, num_classes: int) -> SoftmaxMarginHead:
    return Squared(settings, embedding_dim, num_classes)
'''


@pytest.mark.slow
def test_a_dropped_network_and_head_are_trained_alone_and_over_patches(tmp_path: Path, repository: Path) -> None:
    head = {"kind": "squared", "scale": 8.0, "margin": 0.3, "times": 2}
    entry = {"arch": "toy", "embedding_dim": 8, "epochs": 2, "head": head, "checkpoint": "data/none"}
    networks = {
        "toy": {**entry, "pool_px": 16},
        "of_patches": {**entry, "pool_px": 7, "patches": {"side_px": 28, "layout": "no_corners33", "mask_share": 0.2}},
        "misspelt": {**entry, "pool": 16},
    }
    checkout = copied_checkout(tmp_path, repository, networks=networks)
    done = train(checkout, "toy")
    assert done.returncode == 1
    assert "There is no such kind." in done.stderr
    (checkout / "pipeline_lib" / "networks" / "backbones" / "toy.py").write_text(NETWORK)
    (checkout / "pipeline_lib" / "networks" / "heads" / "squared.py").write_text(MARGIN)
    descriptions = {
        "toy": "a toy (pool_px 16)",
        "of_patches": "RRFNet-28, no_corners33, 20 % masked (drop), of a toy (pool_px 7)",
    }
    for name, description in descriptions.items():
        done = train(checkout, name)
        assert done.returncode == 0, done.stderr
        metrics = json.loads((checkout / "data" / "train" / name / "metrics.json").read_text())
        assert (metrics["arch"], metrics["description"], metrics["epochs"]) == ("toy", description, 2)
        assert {"loss", "val_auc"} <= set(metrics)
    code = """
from pathlib import Path
from pipeline_lib.networks.backbones.shared.checkpoints import load_network
for name in ("toy", "of_patches"):
    network = load_network(Path("data/networks", name))
    print(type(network).__name__, network.additive)
"""
    done = python(checkout, "-c", code)
    assert done.stdout.split() == ["Toy", "False", "RRFNet", "True"], done.stderr
    done = train(checkout, "misspelt")
    assert done.returncode == 1
    assert "pool_px: Field required" in done.stderr
    assert "pool: Extra inputs are not permitted" in done.stderr
    assert "params.yaml, networks.misspelt" in done.stderr
