"""Folding of batch normalisation: the same numbers, and nothing folded that is not exactly foldable."""

import numpy as np
import pytest
import torch
from fitted_networks import OTHERS, SMALL, SPECS, network
from torch import Tensor, nn

from pipeline_lib.networks.backbones import iresnet
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.embedding.folded import Normalisation, folded

ALL = SPECS | OTHERS


def norms(module: nn.Module) -> list[str]:
    return [name for name, layer in module.named_modules() if isinstance(layer, Normalisation)]


@pytest.mark.parametrize("name", ALL)
def test_every_kind_gives_the_same_numbers(name: str) -> None:
    model = network(ALL[name])
    for layer in model.modules():  # what training leaves: no weight is 1, no shift 0
        if isinstance(layer, Normalisation):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.5, 0.5)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    inference = folded(model)
    images = torch.rand(3, 3, 112, 112) * 2 - 1
    with torch.inference_mode():
        for whole, fast in zip(model.forward_with_patches(images), inference.forward_with_patches(images), strict=True):
            # Weights are rounded to float32 once more; the norm, for single values may be near 0.
            assert (whole - fast).norm() < 1e-5 * whole.norm()
    assert not inference.training
    np.testing.assert_array_equal(inference.grid, model.grid)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())  # the model is left alone
    assert len(norms(inference)) < len(norms(model))


def test_of_an_iresnet_what_is_normalised_before_a_convolution_stays() -> None:
    """The convolutions pad with zeros: a block's bn1 is no part of them. bn2's map is what patch features are."""
    assert norms(folded(network(SPECS["iresnet"]))) == [*(f"layer{i}.0.bn1" for i in (1, 2, 3, 4)), "bn2"]


@pytest.mark.parametrize("name", ["mobilefacenet", "bagnet17", "bagnet33", "dlib_resnet"])
def test_nothing_is_left_where_every_normalisation_follows_a_convolution(name: str) -> None:
    assert norms(folded(network(ALL[name]))) == []


class Toy(FaceNetwork):
    """One convolution and one normalisation; `use` says what else becomes of the convolution's output."""

    def __init__(self, use: str) -> None:
        super().__init__(iresnet.Spec(**SMALL))
        self.use, self.grid = use, np.zeros((1, 4), np.int64)
        self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
        self.norm.running_mean.fill_(0.3)
        self.norm.running_var.fill_(4.0)

    def forward_with_patches(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See FaceNetwork."""
        x = self.conv(images)
        y = self.norm(x)
        if self.use == "sum":
            y = y + x
        elif self.use == "twice":
            y = self.norm(self.conv(images)) + y
        elif self.use == "two inputs":
            y = self.norm(images[:, [0, 1, 2, 0]]) + y
        elif self.use == "before":
            y = self.conv(images).relu() + y
        return y.mean((2, 3)), x.mean((2, 3))[:, None] if self.use == "patches" else y.mean((2, 3))[:, None]


@pytest.mark.parametrize(
    ("use", "is_folded"),
    [("", True), ("twice", True), ("sum", False), ("patches", False), ("two inputs", False), ("before", False)],
)
def test_only_an_output_that_goes_nowhere_else_is_folded(use: str, is_folded: bool) -> None:
    toy = Toy(use).eval()
    fast = folded(toy)
    assert isinstance(fast.norm, nn.Identity) == is_folded
    images = torch.rand(2, 3, 112, 112)
    with torch.inference_mode():
        for whole, other in zip(toy.forward_with_patches(images), fast.forward_with_patches(images), strict=True):
            torch.testing.assert_close(other, whole, rtol=1e-5, atol=1e-6)
