"""Finetuning a network of the run: it begins as that network, learns with its own settings, and stands alone in its files."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import yaml
from stage_checkout import HEAD
from stage_data import write_stage_data

import stages.common_training
import stages.train_over
from pipeline_lib.core.errors import ParamsError
from pipeline_lib.networks.backbones import iresnet
from pipeline_lib.networks.backbones.shared.build import build_network, build_over
from pipeline_lib.networks.backbones.shared.checkpoints import load_network, save_network
from pipeline_lib.networks.over.shared.settings import over_settings
from pipeline_lib.params.networks import NetworkOver
from pipeline_lib.params.train import Train

SPEC = iresnet.Spec(blocks=(1, 1, 1, 1), width=0.125, embedding_dim=8)
ENTRY = {"kind": "finetuned", "over": ["base"], "epochs": 1, "head": HEAD}


def settings(**changes: object):
    return over_settings(NetworkOver(**{**ENTRY, **changes}), "params.yaml, networks_over.x")


def test_it_begins_as_the_network_and_stands_on_no_other(tmp_path: Path) -> None:
    save_network(tmp_path / "base", build_network(SPEC, seed=3))
    base, network = (
        load_network(tmp_path / "base"),
        build_over(settings(), {"base": load_network(tmp_path / "base")}, 5),
    )
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    state = network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in base.state_dict().items())
    save_network(tmp_path / "finetuned", network)
    loaded = load_network(tmp_path / "finetuned")
    assert (loaded.spec, dict(loaded.frozen_networks())) == (SPEC, {})
    assert (tmp_path / "finetuned" / "network.json").read_text() == (tmp_path / "base" / "network.json").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"over": ["base", "other"]}, "over"),
        ({"width": 0.5}, "width: Extra inputs"),
        ({"occluded_share": 0.5}, "Extra inputs"),
    ],
)
def test_entries_that_are_not_possible(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ParamsError, match=rf"{message}[\s\S]*networks_over\.x"):
        settings(**changes)


def test_another_length_of_the_embedding_is_refused() -> None:
    assert build_over(settings(embedding_dim=8), {"base": build_network(SPEC)}).spec == SPEC
    with pytest.raises(ParamsError, match=r"embedding_dim 16[\s\S]*8, or no such key"):
        build_over(settings(embedding_dim=16), {"base": build_network(SPEC)})


def test_what_an_entry_says_stands_in_place_of_train(repository: Path) -> None:
    train = Train(**yaml.safe_load((repository / "params.yaml").read_text())["train"])
    assert train.with_own(NetworkOver(**ENTRY)) == train
    own = train.with_own(NetworkOver(**ENTRY, learning_rate=0.001, use_occluded=False))
    assert (own.learning_rate, own.use_occluded) == (0.001, False)
    assert own.model_copy(update={"learning_rate": train.learning_rate, "use_occluded": train.use_occluded}) == train


@contextmanager
def no_run(*_: object, **__: object) -> Iterator[object]:
    yield type("Run", (), {"log_metrics": staticmethod(lambda figures, step=0: None)})


@pytest.mark.parametrize(("use_occluded", "num_images"), [(True, 13), (False, 12), (None, 12)])
def test_the_stage(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, use_occluded: bool | None, num_images: int
) -> None:
    """One occluded image is there to learn from; section train leaves it out."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stages.common_training, "stage_run", no_run)
    monkeypatch.setattr(stages.common_training, "log_networks", lambda *_: None)
    write_stage_data(Path("data"))
    params = yaml.safe_load((repository / "params.yaml").read_text())
    params["train"] |= {"batch_size": 4, "micro_batch_size": 2, "use_occluded": False, "validate_every_epochs": None}
    params["networks_over"] = {"x": {**ENTRY, "use_occluded": use_occluded, "learning_rate": 0.004}}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    Path("machine.yaml").write_text("log_every_steps: 1")
    save_network(Path("data/networks/base"), build_network(SPEC, seed=3))
    places = (Path("data/networks"), Path("data/align"), Path("data/occlude"), Path("data/ingest/pairs.parquet"))
    stages.train_over.main("x", *places, Path("data/networks_over/x"), Path("data/train_over/x"))
    metrics = json.loads(Path("data/train_over/x/metrics.json").read_text())
    assert (metrics["num_images"], metrics["arch"], metrics["trained"]) == (num_images, "iresnet", True)
    rates = [float(line.split(",")[3]) for line in Path("data/train_over/x/history.csv").read_text().splitlines()[1:]]
    assert max(rates) <= 0.004
    before = load_network(Path("data/networks/base")).state_dict()
    after = load_network(Path("data/networks_over/x")).state_dict()
    learned = [name for name in before if not torch.equal(before[name], after[name])]
    assert len(learned) > len(before) // 2
