"""ViT: model V's size, its forward pass against an oracle, what positions and heads do."""

import sys

import numpy as np
import pytest
import torch

from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.vit import Spec, ViT


def small(input_px: int = 28, token_px: int = 7, heads: int = 3) -> ViT:
    """Three heads of 8 over tokens of 64: inner and token lengths differ."""
    network = build_network(
        Spec(width=0.125, embedding_dim=8, input_px=input_px, depth=2, heads=heads, token_px=token_px)
    )
    assert isinstance(network, ViT)
    generator = torch.Generator().manual_seed(3)
    for value in network.state_dict().values():
        if value.dtype == torch.float32 and value.ndim == 1:
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
        elif value.ndim == 2:
            value.mul_(5)  # attention far from uniform
    return network.eval()


def some_images(count: int, px: int) -> torch.Tensor:
    return torch.rand(count, 3, px, px, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_model_v_has_these_parameters() -> None:
    with torch.device("meta"):
        network = ViT(Spec(depth=20, heads=8, token_px=8))
    layer = 2 * 2 * 512 + 3 * 512 * 512 + (512 * 512 + 512) + (512 * 2048 + 2048) + (2048 * 512 + 512)
    ends = (3 * 8 * 8 * 512 + 512) + 512 + 197 * 512 + 2 * 512 + (512 * 512 + 512) + 2 * 512
    assert sum(parameter.numel() for parameter in network.parameters()) == 20 * layer + ends == 63_481_856


@pytest.mark.parametrize(("input_px", "token_px", "heads"), [(28, 7, 3), (56, 14, 1), (28, 14, 8)])
def test_forward_agrees_with_the_oracle(input_px: int, token_px: int, heads: int, repository: object) -> None:
    sys.path.insert(0, f"{repository}/tests/oracles")
    from vit_forward import vit_forward

    network, images = small(input_px, token_px, heads), some_images(2, input_px)
    expected, tokens = vit_forward(network.state_dict(), images, 2, heads, token_px)
    with torch.inference_mode():
        found, vectors = network.forward_with_patches(images)
    assert np.linalg.norm(found - expected) < 1e-5 * np.linalg.norm(expected)  # float32 sums against float64
    assert np.linalg.norm(vectors - tokens) < 1e-5 * np.linalg.norm(tokens)


@pytest.mark.parametrize(
    ("input_px", "token_px", "rows"), [(112, 8, 14), (112, 28, 4), (56, 8, 7), (28, 4, 7), (28, 28, 1)]
)
def test_grid_is_the_squares(input_px: int, token_px: int, rows: int) -> None:
    network = small(input_px, token_px)
    with torch.inference_mode():
        embedding, vectors = network.forward_with_patches(some_images(1, input_px))
    assert embedding.shape == (1, 8)
    assert vectors.shape == (1, rows**2, 64)
    cover = np.zeros((input_px, input_px), int)
    for x, y, w, h in network.grid:
        cover[y : y + h, x : x + w] += 1
    assert (cover == 1).all()
    assert network.grid[-1].tolist() == [input_px - token_px, input_px - token_px, token_px, token_px]


def test_without_positions_the_order_of_the_squares_does_not_matter() -> None:
    network, images = small(), some_images(1, 28)
    mirrored = images.unflatten(3, (4, 7)).flip(3).flatten(3)  # the four columns of squares in reverse
    with torch.inference_mode():
        assert not torch.allclose(network(images), network(mirrored), rtol=1e-3)
        network.pos_embed.zero_()
        embedding, vectors = network.forward_with_patches(images)
        embedding_mirrored, vectors_mirrored = network.forward_with_patches(mirrored)
    torch.testing.assert_close(embedding, embedding_mirrored, rtol=1e-4, atol=1e-5)  # the order of float32 sums
    order = np.arange(16).reshape(4, 4)[:, ::-1].ravel().copy()
    torch.testing.assert_close(vectors[:, order], vectors_mirrored, rtol=1e-4, atol=1e-5)


def test_keys_are_those_of_timm() -> None:
    expected = {
        "cls_token",
        "pos_embed",
        "patch_embed.proj.weight",
        "patch_embed.proj.bias",
        "norm.weight",
        "norm.bias",
    }
    expected |= {"fc.weight", "fc.bias", "features.num_batches_tracked"}
    expected |= {f"features.{part}" for part in ("weight", "bias", "running_mean", "running_var")}
    for layer in (0, 1):
        expected |= {f"blocks.{layer}.attn.qkv.weight"}
        for part in ("norm1", "norm2", "attn.proj", "mlp.fc1", "mlp.fc2"):
            expected |= {f"blocks.{layer}.{part}.weight", f"blocks.{layer}.{part}.bias"}
    assert set(small().state_dict()) == expected


def test_width_scales_tokens_and_heads() -> None:
    state = build_network(Spec(width=0.25, embedding_dim=8, depth=1, heads=2, token_px=16)).state_dict()
    assert state["cls_token"].shape == (1, 1, 128)
    assert state["blocks.0.attn.qkv.weight"].shape == (3 * 2 * 16, 128)
    assert state["blocks.0.mlp.fc1.weight"].shape == (512, 128)


def test_gradient_reaches_every_layer() -> None:
    network = small().train()
    network(some_images(3, 28)).square().sum().backward()
    without = [name for name, value in network.named_parameters() if value.requires_grad and value.grad is None]
    assert without == []
    assert all(torch.isfinite(value.grad).all() for value in network.parameters() if value.grad is not None)
