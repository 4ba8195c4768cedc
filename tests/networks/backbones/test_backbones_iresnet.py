"""IResNet: the public code's layout and sizes, the stride-1 variant, and its forward pass against an oracle."""

import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch

from pipeline_lib.networks.backbones.iresnet import Block, IResNet, Spec
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.backbones.shared.resnet import Projection

SMALL = Spec(blocks=(1, 2, 1, 1), width=0.125, embedding_dim=8, input_px=28)
TINY = {"blocks": (1, 1, 1, 1), "width": 0.125, "embedding_dim": 8}


def num_parameters(spec: Spec) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in IResNet(spec).parameters())


def unsettled(network: FaceNetwork) -> FaceNetwork:
    """Draw what is 0 or 1 in a new network, so that leaving a layer out or swapping two shows."""
    generator = torch.Generator().manual_seed(3)
    for name, value in network.state_dict().items():
        if value.dtype == torch.float32 and "conv" not in name and "downsample.0" not in name and name != "fc.weight":
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
    return network.eval()


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ((2, 2, 2, 2), 24_025_600),
        ((3, 4, 6, 3), 34_139_328),
        ((3, 4, 14, 3), 43_590_848),
        ((3, 13, 30, 3), 65_156_160),
        ((6, 26, 60, 6), 118_833_920),
    ],
    ids=["r18", "r34", "r50", "r100", "r200"],
)
def test_has_the_published_number_of_parameters(blocks: tuple[int, ...], expected: int) -> None:
    assert num_parameters(Spec(blocks=blocks)) == expected


def test_stride_one_on_patches_keeps_the_published_sizes() -> None:
    r100 = (3, 13, 30, 3)
    # RRFNet section IV: at 56 px the size of the 112 px network, but for the projection (1x1 convolution of 64 to 64
    # channels and its normalisation) that a first block of stride 1 does not need; at 28 px a 4x4 map instead of 7x7
    assert num_parameters(Spec(blocks=r100, input_px=56)) == 65_156_160 - (64 * 64 + 2 * 64)
    assert num_parameters(Spec(blocks=r100, input_px=28)) == 65_151_936 - 512 * 512 * (49 - 16)


def test_state_dict_has_the_public_codes_keys() -> None:
    keys = set(build_network(SMALL).state_dict())

    def norm(name: str) -> set[str]:
        return {f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}

    expected = {"conv1.weight", "prelu.weight", "fc.weight", "fc.bias"} | norm("bn1") | norm("bn2") | norm("features")
    for block in ("layer1.0", "layer2.0", "layer2.1", "layer3.0", "layer4.0"):
        expected |= {f"{block}.{part}.weight" for part in ("conv1", "conv2", "prelu")}
        expected |= norm(f"{block}.bn1") | norm(f"{block}.bn2") | norm(f"{block}.bn3")
    for block in ("layer2.0", "layer3.0", "layer4.0"):  # layer1.0 changes neither size nor channels at stride 1
        expected |= {f"{block}.downsample.0.weight"} | norm(f"{block}.downsample.1")
    assert keys == expected


def test_full_face_downsamples_in_the_first_block() -> None:
    keys = build_network(Spec(**TINY)).state_dict()
    assert keys["layer1.0.downsample.0.weight"].shape == (8, 8, 1, 1)
    assert keys["fc.weight"].shape == (8, 64 * 7 * 7)


@pytest.mark.parametrize(("px", "first_stride"), [(28, 1), (112, 2)])
def test_forward_agrees_with_the_oracle(px: int, first_stride: int, repository: object) -> None:
    sys.path.insert(0, f"{repository}/tests/oracles")
    from iresnet_forward import iresnet_forward

    spec = Spec(blocks=SMALL.blocks, width=SMALL.width, embedding_dim=SMALL.embedding_dim, input_px=px)
    network = unsettled(build_network(spec))
    images = torch.rand(2, 3, px, px, generator=torch.Generator().manual_seed(1)) * 2 - 1
    expected = iresnet_forward(network.state_dict(), images, list(spec.blocks), first_stride)
    with torch.inference_mode():
        found = network(images)
    assert (found - expected).norm() < 1e-4 * expected.norm()  # 12 float32 layers against float64


def test_memory_format_of_the_input_does_not_matter() -> None:
    network = unsettled(build_network(SMALL))
    images = torch.rand(2, 3, 28, 28)
    with torch.inference_mode():
        assert torch.equal(network(images), network(images.contiguous(memory_format=torch.channels_last)))


def test_patch_features_are_the_values_that_fc_sees() -> None:
    network = unsettled(build_network(SMALL))
    images = torch.rand(2, 3, 28, 28)
    with torch.inference_mode():
        embedding, patches = network.forward_with_patches(images)
        rebuilt = network.features(network.fc(patches.transpose(1, 2).flatten(1)))
    assert patches.shape == (2, 16, 64)
    torch.testing.assert_close(embedding, rebuilt)
    assert torch.equal(network.patch_features(images), patches)


def test_grid_tiles_the_image() -> None:
    network = build_network(Spec(**TINY))
    cover = np.zeros((112, 112), int)
    for x, y, w, h in network.grid:
        cover[y : y + h, x : x + w] += 1
    assert network.grid.shape == (49, 4)
    assert (cover == 1).all()
    assert network.grid[1].tolist() == [16, 0, 16, 16]  # row by row


def test_width_multiplies_the_channels_in_steps_of_eight() -> None:
    def channels(width: float) -> list[int]:
        network = build_network(Spec(**{**TINY, "width": width}, input_px=28))
        return [getattr(network, f"layer{stage}")[0].conv2.out_channels for stage in (1, 2, 3, 4)]

    assert channels(0.25) == [16, 32, 64, 128]
    assert channels(0.3) == [16, 40, 80, 152]  # 19.2, 38.4, 76.8, 153.6
    assert channels(0.01) == [8, 8, 8, 8]


def test_features_weight_is_frozen_at_one_and_seeds_decide_the_rest() -> None:
    network = build_network(SMALL, seed=1)
    assert not network.features.weight.requires_grad
    assert (network.features.weight == 1).all()
    state, again, other = (build_network(SMALL, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(state[name], again[name]) for name in state)
    assert not torch.equal(state["fc.weight"], other["fc.weight"])


def test_building_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    build_network(SMALL, seed=9)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("width", [0.125, 0.25])
def test_narrow_networks_train_without_harm_to_memory(width: float) -> None:
    # 8 channels into a strided 1x1 convolution crashed oneDNN's weight gradient; see resnet.Projection
    network = build_network(Spec(**{**TINY, "width": width}, input_px=56))
    for _ in range(2):
        network(torch.rand(8, 3, 56, 56)).square().sum().backward()
    assert all(torch.isfinite(value.grad).all() for value in network.parameters() if value.grad is not None)


@pytest.mark.parametrize(("stride", "side"), [(1, 5), (2, 6), (2, 7), (2, 1), (3, 7)])
def test_projection_is_a_strided_convolution(stride: int, side: int) -> None:
    generator = torch.Generator().manual_seed(0)
    layer = Projection(3, 16, stride)
    x = torch.randn(2, 3, side, side, generator=generator, requires_grad=True)
    weights = torch.randn(2, 16, -(-side // stride), -(-side // stride), generator=generator)
    found = torch.autograd.grad((layer(x) * weights).sum(), (x, layer.weight))
    out = torch.nn.functional.conv2d(x, layer.weight, stride=stride)
    expected = torch.autograd.grad((out * weights).sum(), (x, layer.weight))
    torch.testing.assert_close(layer(x), out, rtol=1e-5, atol=1e-6)  # float32 sums over 3 channels in another order
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)  # and over pixels
    assert list(layer.state_dict()) == ["weight"]


def test_gradients_of_all_maps_stay_channels_last() -> None:
    network = build_network(Spec(**{**TINY, "blocks": "r18"}))
    strides = {}

    def watch(name: str) -> Callable[..., None]:
        def after_forward(module: torch.nn.Module, inputs: tuple[torch.Tensor], out: torch.Tensor) -> None:
            out.register_hook(
                lambda grad: strides.__setitem__(name, grad.is_contiguous(memory_format=torch.channels_last))
            )

        return after_forward

    for name, module in network.named_modules():
        if isinstance(module, Block | torch.nn.Conv2d):
            module.register_forward_hook(watch(name))
    network(torch.rand(2, 3, 112, 112)).square().sum().backward()
    assert len(strides) == 8 + 1 + 2 * 8 + 4  # blocks, conv1, their convolutions, projections
    assert all(strides.values()), [name for name, is_channels_last in strides.items() if not is_channels_last]
