"""xCos: its formula by loops, its training, its grids, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import HEAD as ARCFACE
from tiny_training import TRAIN, changed, one_process

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.networks.backbones import dlib_resnet, iresnet
from pipeline_lib.networks.backbones.shared.build import build_network, build_over, describe
from pipeline_lib.networks.backbones.shared.checkpoints import load_network, save_network
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
from pipeline_lib.networks.embedding.folded import folded
from pipeline_lib.networks.over.shared.settings import over_settings
from pipeline_lib.networks.over.xcos import XCos
from pipeline_lib.networks.training.data import Batch
from pipeline_lib.networks.training.learner import Learner, micro_batches
from pipeline_lib.networks.training.trainee import Trainee, new_trainee
from pipeline_lib.params.networks import NetworkOver, Patches

SMALL = {"blocks": (1, 1, 1, 1), "width": 0.125, "embedding_dim": 8}
SPECS: dict[str, tuple[NetworkSpec, int]] = {
    "iresnet": (iresnet.Spec(**SMALL), 49),
    "rrfnet56": (iresnet.Spec(**SMALL, patches=Patches(side_px=56, layout="cross5")), 5),
    "dlib_resnet of 8 cells": (dlib_resnet.Spec(published=False), 64),
    "dlib_resnet of 4 cells": (dlib_resnet.Spec(published=False, cells=4), 16),
}
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 112, 112, 3), dtype=np.uint8)
PEOPLE = np.arange(8) % 2


def xcos_over(frozen: FaceNetwork, seed: int = 3, **keys: object) -> XCos:
    entry = NetworkOver(kind="xcos", over=["it"], epochs=1, head={"kind": "arcface"}, **keys)
    made = build_over(over_settings(entry, "params.yaml, networks_over.x"), {"it": frozen}, seed)
    assert isinstance(made, XCos)
    return made


@pytest.fixture(scope="module")
def xcos() -> XCos:
    """Over an IResNet, with attention that is not flat."""
    made = xcos_over(build_network(SPECS["iresnet"][0], 1), channels=6).eval()
    with torch.no_grad():
        for parameter in (made.single.weight, made.joint.weight, made.logit.weight, made.place):
            parameter.normal_(0, 0.7, generator=torch.Generator().manual_seed(0))
    return made


def inputs(num: int) -> torch.Tensor:
    return torch.from_numpy(IMAGES[:num] / 127.5 - 1).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize("name", SPECS)
def test_it_has_the_cells_of_any_network(name: str) -> None:
    spec, num_cells = SPECS[name]
    made = xcos_over(build_network(spec, 1)).eval()
    assert made.spec.embedding_dim == num_cells * 32
    with torch.inference_mode():
        embeddings, cells = made.forward_with_patches(inputs(2))
        attention, cosines = made.compare(cells[:1], cells[1:])
    assert embeddings.shape == (2, num_cells * 32)
    assert cells.shape == (2, num_cells, 32)
    assert made.grid.shape == (num_cells, 4)
    assert attention.shape == cosines.shape == (1, num_cells)


def test_attention_and_cosines_are_those_of_loops(xcos: XCos) -> None:
    with torch.inference_mode():
        cells = xcos.cells(xcos.frozen_networks()["it"].patch_features(inputs(2)))
        attention, cosines = xcos.compare(cells[:1], cells[1:])
    weight = {name: value.double().numpy() for name, value in xcos.state_dict().items()}
    logits, wanted = [], []
    for k, (a, b) in enumerate(zip(*cells.double().numpy(), strict=True)):
        a, b = a / np.sqrt(sum(a**2)), b / np.sqrt(sum(b**2))
        hidden = [np.maximum(weight["single.weight"] @ cell + weight["single.bias"], 0) for cell in (a, b)]
        joint = np.maximum(weight["joint.weight"] @ sum(hidden) + weight["joint.bias"], 0)
        logits.append(weight["logit.weight"][0] @ joint + weight["place"][k])
        wanted.append(a @ b)
    shares = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(attention[0], shares, rtol=1e-4)  # float32
    np.testing.assert_allclose(cosines[0], wanted, atol=1e-5)
    assert shares.max() > 2 * shares.min()


def test_attention_sums_to_one_cosines_are_cosines_and_both_faces_count_alike(xcos: XCos) -> None:
    cells = 10 * torch.randn(5, 49, 6, generator=torch.Generator().manual_seed(1))
    cells[4] = cells[0]
    there, back = xcos.compare(cells[:4], cells[1:]), xcos.compare(cells[1:], cells[:4])
    for one, other in zip(there, back, strict=True):
        torch.testing.assert_close(one, other)
    attention, cosines = xcos.compare(cells, cells.flip(0))
    assert (attention >= 0).all()
    torch.testing.assert_close(attention.sum(dim=1), torch.ones(5))
    assert (cosines.abs() <= 1).all()
    torch.testing.assert_close(cosines[[0, 4]], torch.ones(2, 49))
    for mine, scaled in zip(xcos.compare(cells[:1], cells[1:2]), xcos.compare(3 * cells[:1], cells[1:2]), strict=True):
        torch.testing.assert_close(mine, scaled)  # only directions count


def test_the_error_is_that_of_all_pairs_and_its_gradient_is_right(xcos: XCos) -> None:
    generator = torch.Generator().manual_seed(2)
    cells, targets = torch.randn(4, 49, 6, generator=generator), torch.randn(4, 8, generator=generator)
    errors = []
    for i in range(4):
        for j in range(i + 1, 4):
            with torch.no_grad():
                attention, cosines = xcos.compare(cells[i : i + 1], cells[j : j + 1])
            wanted = torch.cosine_similarity(targets[i], targets[j], dim=0)
            errors.append(float((attention * cosines).sum() - wanted) ** 2)
    assert float(xcos.squared_error(cells, targets).detach()) == pytest.approx(np.mean(errors), rel=1e-5)
    cells.requires_grad_()
    error = xcos.squared_error(cells, targets)
    cells_slope, place_slope = torch.autograd.grad(error, (cells, xcos.place))
    direction, step = torch.randn(cells.shape, generator=generator), 1e-3
    with torch.no_grad():
        ends = [xcos.squared_error(cells + sign * step * direction, targets) for sign in (1, -1)]
        found = float(ends[0] - ends[1]) / (2 * step)
        assert found == pytest.approx(float((cells_slope * direction).sum()), rel=0.02)  # float32 differences
        before = xcos.place.clone()
        ends = []
        for sign in (1, -1):
            xcos.place.copy_(before + sign * 0.1 * place_slope / place_slope.norm())
            ends.append(float(xcos.squared_error(cells, targets)))
        xcos.place.copy_(before)
    assert (ends[0] - ends[1]) / 0.2 == pytest.approx(float(place_slope.norm()), rel=0.02)


def test_the_network_s_own_loss_is_added_to_the_head_s(xcos: XCos) -> None:
    trainee = new_trainee(xcos, ARCFACE, TRAIN, 2)
    images, labels = torch.from_numpy(IMAGES[:4]), torch.from_numpy(PEOPLE[:4])
    with torch.no_grad():
        embeddings, cells = xcos.forward_with_patches(inputs(4))
        error = xcos.squared_error(cells, xcos.frozen_networks()["it"](inputs(4)))
        whole = trainee(images, labels, None, None)
        assert float(whole) == pytest.approx(float(trainee.head(embeddings, labels) + 30 * error), rel=1e-5)
        plain = new_trainee(xcos.frozen_networks()["it"], ARCFACE, TRAIN, 2)
        assert float(plain(images, labels, None, None)) == pytest.approx(
            float(plain.head(plain.embed(images, labels, None), labels)), rel=1e-5
        )


def trained(trainee: Trainee, num_steps: int) -> None:
    settings = changed(TRAIN, batch_size=8)
    learner = Learner({"it": trainee}, settings, one_process())
    batch = Batch([IMAGES], PEOPLE, None, None, np.arange(8))
    for _ in range(num_steps):
        learner.take_step(micro_batches(batch, [0], 8, torch.device("cpu")), 0.05)
    learner.finish()


def test_training_brings_it_to_the_frozen_cosines(tmp_path: Path) -> None:
    frozen = build_network(SPECS["iresnet"][0], 1)
    made = xcos_over(frozen, channels=8)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    targets, patches = frozen.forward_with_patches(inputs(8))

    def error() -> float:
        with torch.no_grad():
            return float(made.squared_error(made.cells(patches), targets))

    untrained = error()
    trained(new_trainee(made, ARCFACE, changed(TRAIN, batch_size=8), 2), 40)
    assert error() < 0.3 * untrained
    assert not torch.equal(made.place, before["place"])
    same = {name for name, value in made.state_dict().items() if torch.equal(value, before[name])}
    assert {name for name in before if name.startswith("frozen.")} == same

    save_network(tmp_path / "xcos", made.eval())
    loaded = load_network(tmp_path / "xcos")
    assert isinstance(loaded, XCos)
    assert loaded.spec == made.spec
    assert (
        describe(loaded.spec) == "xCos, a weighted mean of the cosines of cells (over it, channels 8, error_weight 30)"
    )
    with torch.inference_mode():
        for one in (loaded, folded(loaded)):
            torch.testing.assert_close(one(inputs(2)), made(inputs(2)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"embedding_dim": 512}, r"cells side by side[\s\S]*embedding_dim 512[\s\S]*1568"),
        ({"channels": 0}, "channels"),
        ({"error_weight": -1.0}, "error_weight"),
        ({"error_weight": float("nan")}, "error_weight"),
    ],
)
def test_impossible_settings_are_refused(keys: dict[str, object], said: str) -> None:
    with pytest.raises(ParamsError, match=said):
        xcos_over(build_network(SPECS["iresnet"][0], 1), **keys)


def test_it_stands_on_one_network() -> None:
    entry = {"kind": "xcos", "over": ["one", "two"], "epochs": 1, "head": {"kind": "arcface"}}
    with pytest.raises(ParamsError, match=r"over[\s\S]*here"):
        over_settings(NetworkOver(**entry), "here")
