"""Fusion of two maps: its parts by loops, its loss, its grids, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import HEAD as ARCFACE
from tiny_training import TRAIN, one_process

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.networks.backbones import bagnet, iresnet
from pipeline_lib.networks.backbones.shared.build import build_network, build_over, describe
from pipeline_lib.networks.backbones.shared.checkpoints import load_network, save_network
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
from pipeline_lib.networks.over.fusion import Fusion
from pipeline_lib.networks.over.shared.bottleneck import divergence
from pipeline_lib.networks.over.shared.settings import over_settings
from pipeline_lib.networks.training.data import Batch
from pipeline_lib.networks.training.learner import Learner, micro_batches
from pipeline_lib.networks.training.trainee import new_trainee
from pipeline_lib.params.networks import NetworkOver, Patches

SMALL = {"blocks": (1, 1, 1, 1), "width": 0.125, "embedding_dim": 8}
FINE, COARSE = iresnet.Spec(**SMALL), iresnet.Spec(**SMALL, patches=Patches(side_px=56, layout="all9"))
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 112, 112, 3), dtype=np.uint8)


def fusion_over(*specs: NetworkSpec, seed: int = 3, **keys: object) -> Fusion:
    frozen: dict[str, FaceNetwork] = {f"n{i}": build_network(spec, i) for i, spec in enumerate(specs)}
    entry = NetworkOver(
        kind="fusion",
        over=list(frozen),
        epochs=1,
        head={"kind": "arcface"},
        dim=8,
        heads=2,
        head_dim=4,
        embedding_dim=6,
        **keys,
    )
    made = build_over(over_settings(entry, "params.yaml, networks_over.x"), frozen, seed)
    assert isinstance(made, Fusion)
    return made


@pytest.fixture(scope="module")
def frozen_maps() -> torch.Tensor:
    """What both networks see of IMAGES; all fusions here stand on the same two."""
    images = torch.from_numpy(IMAGES / 127.5 - 1).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        return fusion_over(FINE, COARSE).packed(images)


@pytest.mark.parametrize("parts", ["local", "global", "both"])
def test_its_shape_and_grid_are_those_of_the_coarser_network(parts: str, frozen_maps: torch.Tensor) -> None:
    made = fusion_over(FINE, COARSE, parts=parts).eval()
    with torch.inference_mode():
        embeddings, patches = made.forward_with_patches(frozen_maps)
    assert (embeddings.shape, patches.shape) == ((4, 6), (4, 9, 16))
    assert np.array_equal(made.grid, made.frozen_networks()["n1"].grid)
    assert ("local_part" in dict(made.named_children()), "global_part" in dict(made.named_children())) == (
        parts != "global",
        parts != "local",
    )


def test_the_global_part_is_attention_by_loops(frozen_maps: torch.Tensor) -> None:
    made = fusion_over(FINE, COARSE, parts="global").double().eval()
    with torch.inference_mode():
        seen = made.seen(frozen_maps.double())
        x, y = made.tokens_x(seen["n0"][1]), made.tokens_y(seen["n1"][1])
        found = made.global_part(x, y)[:, :8]
        layer = made.global_part.layers_x[0]
        for row in range(4):
            token = y[row].mean(dim=0)  # what the mean of Y asks of X
            query = layer.query(layer.norm1(token)).numpy()
            heads = []
            for head in range(2):
                own = slice(4 * head, 4 * head + 4)
                keys_values = [layer.key_value(layer.norm_map(place)).numpy() for place in x[row]]
                logits = np.array([query[own] @ both[:8][own] / 2 for both in keys_values])  # sqrt(head_dim) = 2
                shares = np.exp(logits) / np.exp(logits).sum()
                heads.append(sum(share * both[8:][own] for share, both in zip(shares, keys_values, strict=True)))
            token = token + layer.proj(torch.from_numpy(np.concatenate(heads)))
            wanted = token + layer.mlp(layer.norm2(token))
            torch.testing.assert_close(found[row], wanted, rtol=1e-9, atol=1e-9)


def test_the_local_part_adds_f_and_sees_neighbours_alone_before_the_encoder(frozen_maps: torch.Tensor) -> None:
    local = fusion_over(FINE, COARSE, parts="local").eval().local_part
    places = torch.randn(1, 9, 16, generator=torch.Generator().manual_seed(0))
    moved = places.clone()
    moved[0, 0] += 1  # the corner of 3x3 cells
    before: list[torch.Tensor] = []
    local.proj.register_forward_hook(lambda module, inputs, output: before.append(inputs[0]))
    with torch.no_grad():
        for each in (places, moved):
            local(each)
        changed = (before[0] - before[1]).abs().amax(dim=2)[0] > 0
        assert changed.view(3, 3).tolist() == [[True, True, False], [True, True, False], [False] * 3]
        local.mixed[4].weight.zero_()
        local.mixed[4].bias.zero_()
        local(places)
    torch.testing.assert_close(before[-1], places)  # what is left without the convolutions is F


def test_training_samples_around_mu_and_pays_for_it(frozen_maps: torch.Tensor) -> None:
    made = fusion_over(FINE, COARSE, beta=0.25).eval()  # in eval mode batch normalisation is one map for both calls
    drawn = np.stack([made.draw(np.random.default_rng([1, sample])) for sample in range(4)])  # type: ignore[arg-type]
    assert (drawn.shape, drawn.dtype) == ((4, 6), np.float32)
    with torch.inference_mode():
        embeddings, loss = made.forward_with_loss(frozen_maps, torch.from_numpy(drawn))
        mean, deviation = made.bottleneck(made.features(made.seen(frozen_maps))[0])
        torch.testing.assert_close(embeddings, mean + deviation * torch.from_numpy(drawn))
        torch.testing.assert_close(made(frozen_maps), mean)  # at inference, no noise
        torch.testing.assert_close(loss, 0.25 * divergence(mean, deviation).mean())
    bare = fusion_over(FINE, COARSE)
    assert bare.draw(np.random.default_rng(0)) is None
    assert bare.eval().forward_with_loss(frozen_maps)[1] is None


@pytest.mark.parametrize("beta", [None, 1e-3])
def test_it_learns(beta: float | None, frozen_maps: torch.Tensor) -> None:
    made = fusion_over(FINE, COARSE, beta=beta)
    learner = Learner({"it": new_trainee(made, ARCFACE, TRAIN, 2)}, TRAIN, one_process())
    drawn = None if beta is None else np.stack([made.draw(np.random.default_rng(i)) for i in range(4)])  # type: ignore[arg-type]
    batch = Batch([frozen_maps.numpy()], np.array([0, 1, 0, 1]), drawn, None, np.arange(4))
    for _ in range(8):
        learner.take_step(micro_batches(batch, [0], 4, torch.device("cpu")), 0.05)
    losses = learner.figures()[0, 0]
    assert losses[-1] < 0.5 * losses[0]


def test_it_is_saved_whole(tmp_path: Path, frozen_maps: torch.Tensor) -> None:
    made = fusion_over(FINE, COARSE, beta=0.5, parts="both").eval()
    save_network(tmp_path / "it", made)
    with torch.inference_mode():
        assert torch.equal(load_network(tmp_path / "it")(frozen_maps), made(frozen_maps))
    assert "parts both, beta 0.5" in describe(made.spec)
    assert "beta" not in describe(fusion_over(FINE, COARSE).spec)


def test_networks_without_rows_and_columns_are_refused() -> None:
    cross = iresnet.Spec(**SMALL, patches=Patches(side_px=56, layout="cross5"))
    with pytest.raises(ParamsError, match=r"(?s)neither network has such.*n0, n1"):
        fusion_over(cross, cross)
    assert (
        len(fusion_over(cross, bagnet.Spec(field_px=33, **SMALL)).grid) == 100
    )  # the one that is a lattice, though finer


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        ({"over": ["a", "a"]}, "not one with itself"),
        ({"over": ["a"]}, "over"),
        ({"over": ["a", "b"], "beta": -1.0}, "beta"),
        ({"over": ["a", "b"], "parts": "none"}, "parts"),
    ],
)
def test_wrong_keys_are_named(keys: dict[str, object], match: str) -> None:
    entry = NetworkOver.model_validate({"kind": "fusion", "epochs": 1, "head": {"kind": "arcface"}, **keys})
    with pytest.raises(ParamsError, match=match):
        over_settings(entry, "params.yaml, networks_over.x")
