"""BagNet: its sizes and keys, what each cell sees, and its cells against an oracle that gets their fields alone."""

import sys

import numpy as np
import pytest
import torch

from pipeline_lib.networks.backbones.bagnet import BagNet, Spec
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.spec import BLOCK_PRESETS

FIELDS_PX = (17, 33)
RESNET50 = BLOCK_PRESETS["r34"]


def small(field_px: int, input_px: int = 112) -> BagNet:
    """A narrow one whose normalisations do something, in eval mode."""
    network = build_network(
        Spec(field_px=field_px, blocks=(2, 1, 1, 2), width=0.125, embedding_dim=8, input_px=input_px)
    )
    assert isinstance(network, BagNet)
    generator = torch.Generator().manual_seed(3)
    for name, value in network.state_dict().items():
        if value.dtype == torch.float32 and value.ndim == 1 and name != "fc.bias":
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
    return network.eval()


def some_images(count: int, px: int = 112) -> torch.Tensor:
    return torch.rand(count, 3, px, px, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize(
    ("field_px", "px", "num_cells", "first_field", "first_cell"),
    [
        # 112 - 17 = 95 = 11 * 8 + 7: twelve fields, 3 px left over before them and 4 after; 12 * 8 = 96 px of cells
        (17, 112, 12, [3, 3, 17, 17], [8, 8, 8, 8]),
        (33, 112, 10, [3, 3, 33, 33], [16, 16, 8, 8]),
        (17, 56, 5, [3, 3, 17, 17], [8, 8, 8, 8]),
        (33, 56, 3, [3, 3, 33, 33], [16, 16, 8, 8]),
        (17, 28, 2, [1, 1, 17, 17], [6, 6, 8, 8]),
        (17, 17, 1, [0, 0, 17, 17], [4, 4, 8, 8]),
        (33, 33, 1, [0, 0, 33, 33], [12, 12, 8, 8]),
    ],
)
def test_grid_and_fields(field_px: int, px: int, num_cells: int, first_field: list[int], first_cell: list[int]) -> None:
    network = small(field_px, px)
    with torch.inference_mode():
        embeddings, vectors = network.forward_with_patches(some_images(2, px))
    assert embeddings.shape == (2, 8)
    assert vectors.shape == (2, num_cells**2, 4 * 64)
    assert network.grid[0].tolist() == first_cell
    assert network.fields[0].tolist() == first_field
    step = 8 * (num_cells - 1)
    assert network.fields[-1].tolist() == [first_field[0] + step, first_field[1] + step, *first_field[2:]]
    assert network.grid.shape == network.fields.shape == (num_cells**2, 4)
    if num_cells > 1:
        assert network.grid[1].tolist() == [first_cell[0] + 8, first_cell[1], 8, 8]  # row by row
    if px % 2 == 0:
        boxes = {tuple(box) for box in network.grid.tolist()}
        assert {(px - w - x, y, w, h) for x, y, w, h in boxes} == boxes  # a mirrored face has mirrored cells


@pytest.mark.parametrize("field_px", FIELDS_PX)
def test_a_cell_sees_its_field_and_nothing_else(field_px: int) -> None:
    network, image = small(field_px), some_images(1)
    with torch.inference_mode():
        before = network.patch_features(image)[0]
    for index in (0, len(network.fields) // 2 + 3, len(network.fields) - 1):
        x, y, w, h = network.fields[index].tolist()
        inside = [(x, y), (x + w - 1, y), (x, y + h - 1), (x + w - 1, y + h - 1), (x + w // 2, y + h // 2)]
        outside = [(x - 1, y), (x, y - 1), (x + w, y), (x, y + h), (x - 1, y - 1), (x + w, y + h)]
        for column, row in inside + outside:
            changed = image.clone()
            changed[0, :, row, column] += 30.0
            with torch.inference_mode():
                after = network.patch_features(changed)[0]
            differs = (after != before).any(dim=1).numpy()
            fx, fy, fw, fh = network.fields.T
            assert np.array_equal(differs, (fx <= column) & (column < fx + fw) & (fy <= row) & (row < fy + fh))
            assert differs[index] == ((column, row) in inside)


@pytest.mark.parametrize("field_px", FIELDS_PX)
def test_cells_agree_with_the_oracle_that_gets_their_field_alone(field_px: int, repository: object) -> None:
    sys.path.insert(0, f"{repository}/tests/oracles")
    from bagnet_forward import bagnet_cell

    network, image = small(field_px), some_images(1)
    with torch.inference_mode():
        embedding, vectors = network.forward_with_patches(image)
    state = network.state_dict()
    assert network.spec.blocks == (2, 1, 1, 2)
    for index in (0, 5, len(network.fields) - 1):
        x, y, w, h = network.fields[index]
        expected = bagnet_cell(state, image[0, :, y : y + h, x : x + w], [2, 1, 1, 2], [2, 2, 2, 1])
        assert (vectors[0, index] - expected).norm() < 1e-5 * expected.norm()  # 21 float32 layers against float64
    mean = vectors[0].double().mean(dim=0)
    linear = state["fc.weight"].double() @ mean + state["fc.bias"].double()
    variance = state["features.running_var"].double() + 1e-5
    normalised = (linear - state["features.running_mean"]) / variance.sqrt()
    expected = normalised * state["features.weight"] + state["features.bias"]
    torch.testing.assert_close(embedding[0].double(), expected, rtol=1e-4, atol=1e-5)  # float32 sums over 144 cells


def test_embedding_is_the_mean_of_what_each_cell_alone_would_give() -> None:
    network = small(17)
    with torch.inference_mode():
        embedding, vectors = network.forward_with_patches(some_images(2))
        local = network.additive_patches(vectors)
        one_by_one = torch.stack([network.features(network.fc(vectors[0, cell][None]))[0] for cell in range(144)])
    assert network.additive
    assert local.shape == (2, 144, 8)
    torch.testing.assert_close(
        local[0], one_by_one, rtol=1e-4, atol=1e-5
    )  # float32 sums in another order, here and below
    torch.testing.assert_close(embedding, local.mean(dim=1), rtol=1e-5, atol=1e-5)


def test_cells_add_up_before_mirrored_ones_are_added_not_after() -> None:
    """The map is affine: the bias of a sum would count once, that of the embeddings' sum counts twice."""
    network, images = small(17), some_images(1)
    with torch.inference_mode():
        (e, p), (e_mirrored, p_mirrored) = (network.forward_with_patches(x) for x in (images, images.flip(3)))
        apart = network.additive_patches(p) + network.additive_patches(p_mirrored)
        summed = network.additive_patches(p + p_mirrored)
    torch.testing.assert_close(apart.mean(dim=1), e + e_mirrored, rtol=1e-5, atol=2e-5)
    assert (summed.mean(dim=1) - e - e_mirrored).abs().max() > 0.1


def test_in_training_no_cell_stands_for_itself() -> None:
    with pytest.raises(AssertionError, match="no map of single cells"):
        small(17).train().additive_patches(torch.zeros(2, 144, 256))


def num_parameters_by_hand(kernels: tuple[int, ...]) -> int:
    """Stem, bottlenecks, fc, features of a ResNet-50 whose stages' first blocks have these kernels."""
    total, num_in = 3 * 64 + 64 * 64 * 9 + 2 * 64, 64
    for c, count, kernel in zip((64, 128, 256, 512), (3, 4, 6, 3), kernels, strict=True):
        total += num_in * c + kernel**2 * c * c + c * 4 * c + 2 * (c + c + 4 * c)
        total += num_in * 4 * c + 2 * 4 * c  # the shortcut
        total += (count - 1) * (4 * c * c + c * c + c * 4 * c + 2 * (c + c + 4 * c))
        num_in = 4 * c
    return total + 2048 * 512 + 512 + 2 * 512


@pytest.mark.parametrize(
    ("field_px", "kernels", "expected"), [(17, (3, 3, 3, 1), 15_214_144), (33, (3, 3, 3, 3), 17_311_296)]
)
def test_number_of_parameters(field_px: int, kernels: tuple[int, ...], expected: int) -> None:
    with torch.device("meta"):
        network = BagNet(Spec(field_px=field_px, blocks=RESNET50))
    assert sum(parameter.numel() for parameter in network.parameters()) == expected == num_parameters_by_hand(kernels)


def test_state_dict_has_the_public_codes_keys() -> None:
    def norm(name: str) -> set[str]:
        return {f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}

    expected = {"conv1.weight", "conv2.weight", "fc.weight", "fc.bias"} | norm("bn1") | norm("features")
    for block in ("layer1.0", "layer1.1", "layer2.0", "layer3.0", "layer4.0", "layer4.1"):
        expected |= {f"{block}.conv{i}.weight" for i in (1, 2, 3)}
        expected |= norm(f"{block}.bn1") | norm(f"{block}.bn2") | norm(f"{block}.bn3")
        if block.endswith(".0"):
            expected |= {f"{block}.downsample.0.weight"} | norm(f"{block}.downsample.1")
    state = small(33).state_dict()
    assert set(state) == expected
    assert [state[f"layer{i}.0.conv2.weight"].shape[-1] for i in (1, 2, 3, 4)] == [3, 3, 3, 3]
    assert small(17).state_dict()["layer4.0.conv2.weight"].shape[-1] == 1


@pytest.mark.parametrize("field_px", FIELDS_PX)
def test_trains_on_patches(field_px: int) -> None:
    network = build_network(Spec(field_px=field_px, blocks=(1, 1, 1, 1), width=0.125, embedding_dim=8, input_px=56))
    network(some_images(3, 56)).square().sum().backward()
    for name, parameter in network.named_parameters():
        if name != "features.weight":
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all()
    assert network.features.weight.grad is None
