"""RRFNet: the embedding as a mean over patches, restricted receptive fields, masking, eq. 8."""

import numpy as np
import pytest
import torch

from pipeline_lib.data.patches.grid import LAYOUTS, layout_positions
from pipeline_lib.networks.backbones import bagnet, iresnet, mobilefacenet, vit
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.rrfnet import RRFNet
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec

TINY = {"blocks": (1, 1, 1, 1), "width": 0.125, "embedding_dim": 8}
VIT = {"width": 0.125, "embedding_dim": 8, "depth": 1, "heads": 2, "token_px": 14}
CROSS5, NO_CORNERS = {"side_px": 56, "layout": "cross5"}, {"side_px": 28, "layout": "no_corners33"}
CROSS = iresnet.Spec(**TINY, patches={**CROSS5, "mask_share": 0.2})
FINE = iresnet.Spec(**TINY, patches={**NO_CORNERS, "mask_share": 0.4})
BACKBONES = {
    "iresnet28": FINE,
    "mobilefacenet56": mobilefacenet.Spec(embedding_dim=8, patches={**CROSS5, "mask_share": 0.2}),
    "mobilefacenet28": mobilefacenet.Spec(
        embedding_dim=8, patches={"side_px": 28, "layout": "all49", "mask_share": 0.4}
    ),
    "bagnet17_28": bagnet.Spec(field_px=17, **TINY, patches={**NO_CORNERS, "mask_share": 0.4}),
    "bagnet33_56": bagnet.Spec(field_px=33, **TINY, patches={"side_px": 56, "layout": "all9", "mask_share": 0.2}),
    "vit56": vit.Spec(**VIT, patches={"side_px": 56, "layout": "corners5", "mask_share": 0.2}),
    "vit28": vit.Spec(**VIT, patches={**NO_CORNERS, "mask_share": 0.4}),
}


def with_patches(spec: NetworkSpec, **changes: object) -> NetworkSpec:
    """The same network over other patches."""
    return type(spec).model_validate({**spec.to_json(), "patches": {**spec.patches.model_dump(), **changes}})


def made(spec: NetworkSpec) -> RRFNet:
    network = build_network(spec).eval()
    assert isinstance(network, RRFNet)
    return network


def some_images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, 112, 112, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize(("spec", "num_patches", "num_kept"), [(CROSS, 5, 4), (FINE, 33, 20)], ids=["56", "28"])
def test_embedding_is_the_mean_of_the_patches_own_embeddings(
    spec: NetworkSpec, num_patches: int, num_kept: int
) -> None:
    network, images = made(spec), some_images(2)
    with torch.inference_mode():
        embedding, patches = network.forward_with_patches(images)
        x, y, w, h = network.grid[3]
        alone = network.backbone(images[:, :, y : y + h, x : x + w])
    assert patches.shape == (2, num_patches, 8)
    assert network.grid.shape == (num_patches, 4)
    assert network.num_kept == num_kept
    torch.testing.assert_close(embedding, patches.mean(dim=1))
    # other batch sizes may take other convolution kernels, which sum in another order
    torch.testing.assert_close(patches[:, 3], alone, rtol=1e-4, atol=1e-5)
    assert torch.equal(network.patch_features(images), patches)


def test_under_autocast_the_mean_of_the_patches_is_the_embedding_in_float32() -> None:
    """bf16 patch vectors would put the sum of contributions off the score by 1e-3."""
    network = made(CROSS)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        embedding, patches = network.forward_with_patches(some_images(2))
    assert embedding.dtype == patches.dtype == torch.float32
    torch.testing.assert_close(embedding, patches.mean(dim=1), rtol=0, atol=0)


def test_patch_sees_nothing_outside_its_box() -> None:
    network, images = made(CROSS), some_images(1)
    changed = images.clone()
    changed[0, :, 20, 60] = 5.0  # inside (28,0) alone: x 28..84, y 0..56, and above y 28
    with torch.inference_mode():
        before, after = network.patch_features(images), network.patch_features(changed)
    differs = (before != after).any(dim=2)[0].tolist()
    covered = [x <= 60 < x + w and y <= 20 < y + h for x, y, w, h in network.grid]
    assert differs == covered
    assert sum(covered) == 1


def test_cosine_is_the_sum_over_pairs_of_patches() -> None:
    network, images = made(CROSS), some_images(2)
    with torch.inference_mode():
        embedding, patches = network.forward_with_patches(images)
    f_a, f_b = patches.double().numpy()
    norms = np.linalg.norm(f_a.mean(axis=0)) * np.linalg.norm(f_b.mean(axis=0))
    terms = f_a @ f_b.T / (25 * norms)  # RRFNet eq. 8
    cosine = torch.nn.functional.cosine_similarity(*embedding.double(), dim=0).item()
    assert terms.sum() == pytest.approx(cosine, abs=1e-6)  # the embedding is a float32 mean


def test_drop_averages_the_kept_patches_and_computes_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    network, images = made(FINE), some_images(2)
    rng = np.random.default_rng(0)
    kept = np.stack([network.draw(rng) for _ in range(2)])
    seen: list[int] = []
    network.backbone.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    with torch.inference_mode():
        found = network(images, torch.from_numpy(kept))
        patches = network.patch_features(images)
    assert seen == [2 * 20, 2 * 33]
    expected = torch.stack([patches[sample, kept[sample]].mean(dim=0) for sample in range(2)])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)  # as above: other batch size


def test_zero_blanks_the_masked_patches_pixels() -> None:
    network = made(with_patches(CROSS, mask_mode="zero"))
    images = some_images(2)
    kept = torch.tensor([[0, 1, 2, 4], [1, 2, 3, 4]])
    with torch.inference_mode():
        found = network(images, kept)
        patches = network.patch_features(images)
        grey = network.backbone(torch.zeros(1, 3, 56, 56))[0]
    patches = patches.clone()
    patches[0, 3] = patches[1, 0] = grey
    torch.testing.assert_close(found, patches.mean(dim=1), rtol=1e-4, atol=1e-5)


def test_drawn_patches_are_distinct_sorted_fair_and_reproducible() -> None:
    network = made(FINE)
    draws = np.stack([network.draw(np.random.default_rng([7, sample])) for sample in range(2000)])
    assert draws.shape == (2000, 20)
    assert (np.diff(draws, axis=1) > 0).all()
    shares = np.bincount(draws.ravel(), minlength=33) / 2000
    assert np.abs(shares - 20 / 33).max() < 0.05  # four standard deviations of 2000 draws are 0.044
    assert np.array_equal(network.draw(np.random.default_rng([7, 5])), draws[5])


def test_without_a_share_nothing_is_drawn_and_evaluation_uses_all() -> None:
    network = made(with_patches(CROSS, mask_share=0.0))
    assert network.draw(np.random.default_rng(0)) is None
    images = some_images(1)
    with torch.inference_mode():
        assert torch.equal(network(images), network.forward_with_patches(images)[0])


def test_at_least_one_patch_is_kept() -> None:
    assert made(with_patches(CROSS, mask_share=0.99)).num_kept >= 1


@pytest.mark.parametrize("mode", ["drop", "zero"])
def test_gradient_reaches_every_layer(mode: str) -> None:
    network = made(with_patches(CROSS, mask_mode=mode)).train()
    network(some_images(3), torch.tensor([[0, 1, 2, 3]] * 3)).square().sum().backward()
    without = [name for name, value in network.named_parameters() if value.requires_grad and value.grad is None]
    assert without == []


@pytest.mark.parametrize("spec", BACKBONES.values(), ids=BACKBONES)
def test_over_any_backbone_patches_are_embedded_apart_and_averaged(spec: NetworkSpec) -> None:
    network, image = made(spec), some_images(1)
    changed = image.clone()
    changed[0, :, 20, 60] = 5.0
    with torch.inference_mode():
        embedding, patches = network.forward_with_patches(image)
        after = network.patch_features(changed)
        x, y, w, h = network.grid[-1]
        alone = network.backbone(image[:, :, y : y + h, x : x + w])
    assert network.backbone.spec == spec.of_patches()
    assert network.additive
    torch.testing.assert_close(embedding, network.additive_patches(patches).mean(dim=1), rtol=0, atol=0)
    torch.testing.assert_close(patches[:, -1], alone, rtol=1e-4, atol=1e-5)  # another batch, another order of sums
    covered = [x <= 60 < x + w and y <= 20 < y + h for x, y, w, h in network.grid]
    differs = (patches != after).any(dim=2)[0].tolist()
    if (
        spec.arch == "bagnet" and spec.field_px == 17
    ):  # its two fields a row end 2 px before the patch does, and begin 1 px after
        covered = [x + 1 <= 60 < x + 26 and y + 1 <= 20 < y + 26 for x, y, _, _ in network.grid]
    if spec.arch == "bagnet" and spec.field_px == 33:
        covered = [x + 3 <= 60 < x + 52 and y + 3 <= 20 < y + 52 for x, y, _, _ in network.grid]
    assert differs == covered
    assert any(covered)


@pytest.mark.parametrize("spec", BACKBONES.values(), ids=BACKBONES)
def test_over_any_backbone_masking_drops_or_blanks(spec: NetworkSpec) -> None:
    images, num_patches = some_images(2), len(made(spec).grid)
    kept = torch.stack([torch.arange(3), torch.arange(num_patches - 3, num_patches)])
    for mode in ("drop", "zero"):
        network = made(with_patches(spec, mask_mode=mode))
        with torch.inference_mode():
            found, patches = network(images, kept), network.patch_features(images)
            if mode == "drop":
                expected = torch.stack([patches[sample, kept[sample]].mean(dim=0) for sample in range(2)])
            else:
                side = network.spec.patches.side_px
                blanked = network.backbone(torch.zeros(1, 3, side, side)).repeat(2, num_patches, 1)
                for sample in range(2):
                    blanked[sample, kept[sample]] = patches[sample, kept[sample]]
                expected = blanked.mean(dim=1)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)  # another batch, another order of sums


@pytest.mark.parametrize("spec", BACKBONES.values(), ids=BACKBONES)
def test_over_any_backbone_autocast_keeps_a_float32_mean_and_gradients_flow(spec: NetworkSpec) -> None:
    network = made(spec)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        embedding, patches = network.forward_with_patches(some_images(1))
    assert embedding.dtype == patches.dtype == torch.float32
    torch.testing.assert_close(embedding, patches.mean(dim=1), rtol=0, atol=0)
    with torch.inference_mode():
        exact = network(some_images(1))
    assert (embedding - exact).norm() < 0.05 * exact.norm()  # bfloat16 keeps 8 bits, 0.4 %; found here: 0.2 to 1.5 %
    network.train()
    network(some_images(2), torch.tensor([[0, 1], [2, 3]])).square().sum().backward()
    without = [name for name, value in network.named_parameters() if value.requires_grad and value.grad is None]
    assert without == []


@pytest.mark.parametrize(
    ("size_px", "layout"), [(size_px, name) for size_px, names in LAYOUTS.items() for name in names]
)
@pytest.mark.parametrize("backbone", ["iresnet", "vit"])
def test_every_layout_of_table_v(size_px: int, layout: str, backbone: str) -> None:
    spec = with_patches(BACKBONES[f"{backbone}28"], side_px=size_px, layout=layout)
    network = made(spec)
    assert network.grid[:, :2].tolist() == layout_positions(size_px, layout).tolist()
    with torch.inference_mode():
        embedding, patches = network.forward_with_patches(some_images(1))
    assert patches.shape == (1, len(network.grid), 8)
    assert embedding.shape == (1, 8)
    assert network.num_kept == len(network.grid) - round(0.4 * len(network.grid))


def test_compile_leaves_the_cutting_out() -> None:
    network = build_network(iresnet.Spec(**TINY, patches=NO_CORNERS))
    network.compile()
    assert network._compiled_call_impl is None
    assert network.backbone._compiled_call_impl is not None


@pytest.mark.parametrize("spec", [iresnet.Spec(**TINY), vit.Spec(**{**VIT, "token_px": 16}), mobilefacenet.Spec()])
def test_networks_whose_units_see_the_whole_face_are_not_additive(spec: NetworkSpec) -> None:
    network = build_network(spec)
    assert not network.additive
    with pytest.raises(NotImplementedError, match="is not additive"):
        network.additive_patches(torch.zeros(1, 1, 8))
