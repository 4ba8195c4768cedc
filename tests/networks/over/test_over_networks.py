"""Networks over frozen ones: what is trained, what stays, files and errors; a toy kind through its stage."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from stage_checkout import HEAD, TINY, copied_checkout, python, train
from tiny_training import HEAD as ARCFACE
from tiny_training import TRAIN, changed, one_process

import pipeline_lib.networks.over
from pipeline_lib.core.errors import CheckpointError, ParamsError
from pipeline_lib.networks.backbones import bagnet, iresnet
from pipeline_lib.networks.backbones.shared.build import build_network, build_over, describe, is_stackable
from pipeline_lib.networks.backbones.shared.checkpoints import code_digest, load_network, save_network
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.over.shared.settings import OverSettings, over_settings
from pipeline_lib.networks.training.data import Batch
from pipeline_lib.networks.training.learner import Learner, micro_batches
from pipeline_lib.networks.training.trainee import new_trainee
from pipeline_lib.params.networks import NetworkOver

TOY = Path(__file__).with_name("toy_over.py")
ENTRY = {"kind": "toy_over", "over": ["one", "two"], "embedding_dim": 8, "epochs": 2, "head": HEAD}
SMALL = {"blocks": (1, 1, 1, 1), "width": 0.125, "embedding_dim": 8}


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> OverSettings:
    """The toy's folder beside that of the kinds, and its settings of params."""
    monkeypatch.setattr(pipeline_lib.networks.over, "__path__", [*pipeline_lib.networks.over.__path__, str(TOY.parent)])
    return over_settings(NetworkOver(**ENTRY), "params.yaml, networks_over.x")


def frozen(seed: int = 1) -> dict[str, FaceNetwork]:
    """An IResNet and a BagNet."""
    specs = {"one": iresnet.Spec(**SMALL), "two": bagnet.Spec(field_px=33, **SMALL)}
    return {name: build_network(spec, seed) for name, spec in specs.items()}


def state_of(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("ema_decay", [None, 0.5])
def test_the_frozen_networks_stay_as_they_are(toy: OverSettings, ema_decay: float | None) -> None:
    network = build_over(toy, frozen(), seed=3)
    assert network.training
    assert not any(one.training for one in network.frozen_networks().values())
    before = state_of(network)
    settings = changed(TRAIN, ema_decay=ema_decay)
    learner = Learner({"it": new_trainee(network, ARCFACE, settings, 2)}, settings, one_process())
    images = np.random.default_rng(0).integers(0, 256, (4, 112, 112, 3), dtype=np.uint8)
    batch = Batch([images], np.array([0, 1, 0, 1]), None, None, np.arange(4))
    for _ in range(3):
        learner.take_step(micro_batches(batch, [0], 4, torch.device("cpu")), 0.05)
        with learner.results() as results:
            assert not results["it"].training
    learner.agree()
    learner.finish()
    after = state_of(network)
    differ = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any(name.startswith("frozen.") for name in differ)
    assert {"linear.weight", "features.running_mean", "features.bias"} <= differ
    assert len(learner.optimiser.param_groups[0]["params"]) == 5  # linear, features, the head's weight


def test_the_same_seed_gives_the_same_weights_and_files_hold_all_of_it(toy: OverSettings, tmp_path: Path) -> None:
    network = build_over(toy, frozen(), seed=3)
    again, other = build_over(toy, frozen(), seed=3), build_over(toy, frozen(), seed=4)
    assert torch.equal(network.linear.weight, again.linear.weight)
    assert not torch.equal(network.linear.weight, other.linear.weight)
    save_network(tmp_path / "over", network)
    loaded = load_network(tmp_path / "over")
    assert loaded.spec == toy
    assert not loaded.training
    wanted = network.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in loaded.state_dict().items())
    images = torch.rand(2, 3, 112, 112)
    with torch.inference_mode():
        assert torch.equal(loaded(images), network.eval()(images))
    description = json.loads((tmp_path / "over" / "network.json").read_text())
    assert list(description["frozen"]) == ["one", "two"]
    assert description["code"] == code_digest(network) != code_digest(network.frozen_networks()["one"])
    assert describe(toy) == "a toy over others (over one-two, bias True)"
    assert not is_stackable(toy)


def test_a_broken_description_is_refused(toy: OverSettings, tmp_path: Path) -> None:
    save_network(tmp_path, build_over(toy, frozen()))
    path = tmp_path / "network.json"
    description = json.loads(path.read_text())
    for key, value in (("arch", "nothing"), ("over", []), ("bias", "perhaps")):
        path.write_text(json.dumps({**description, "spec": {**description["spec"], key: value}}))
        with pytest.raises(CheckpointError, match=r"not possible[\s\S]*network\.json"):
            load_network(tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "nothing"}, "no such kind"),
        ({"bais": True}, "bais: Extra inputs"),
        ({"input_px": 56}, "no such key"),
        ({"patches": {"side_px": 28, "layout": "all49"}}, "no such key"),
    ],
)
def test_impossible_entries_are_refused(toy: OverSettings, changes: Mapping[str, object], said: str) -> None:
    with pytest.raises(ParamsError, match=rf"{said}[\s\S]*networks_over\.x"):
        over_settings(NetworkOver(**{**ENTRY, **changes}), "params.yaml, networks_over.x")


def test_networks_of_other_names_are_a_bug(toy: OverSettings) -> None:
    with pytest.raises(AssertionError, match=r"settings\.over"):
        build_over(toy, {"one": frozen()["one"]})


@pytest.mark.slow
def test_a_dropped_kind_is_trained_in_two_processes_stopped_and_read(tmp_path: Path, repository: Path) -> None:
    networks = {name: {**TINY, "head": HEAD, "epochs": 1} for name in ("one", "two")}
    sections = {"networks": networks, "networks_over": {"both": ENTRY}}
    checkout = copied_checkout(tmp_path, repository, processes=2, **sections)
    shutil.copy(TOY, checkout / "pipeline_lib" / "networks" / "over")
    done = train(checkout, "both", "train_over", "--frozen", "data/networks")
    assert done.returncode == 1
    assert "rerun its training stage" in done.stderr
    for name in networks:
        save_network(checkout / "data" / "networks" / name, build_network(iresnet.Spec(**SMALL), seed=len(name)))
    done = train(checkout, "both", "train_over", "--frozen", "data/networks")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((checkout / "data" / "train_over" / "both" / "metrics.json").read_text())
    assert (metrics["arch"], metrics["epochs"], metrics["num_steps"]) == ("toy_over", 2, 6)
    code = """
from pathlib import Path
import torch
from pipeline_lib.networks.backbones.shared.checkpoints import load_network
network = load_network(Path("data/networks_over/both"))
states = [network.frozen_networks()[name].state_dict() for name in network.spec.over]
kept = [load_network(Path("data/networks", name)).state_dict() for name in network.spec.over]
print(all(torch.equal(value, two[key]) for one, two in zip(states, kept) for key, value in one.items()))
print(network(torch.zeros(1, 3, 112, 112)).shape)
"""
    done = python(checkout, "-c", code)
    assert done.stdout.splitlines() == ["True", "torch.Size([1, 8])"], done.stderr
