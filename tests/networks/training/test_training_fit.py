"""What stands around the loop: imported weights, files, the training state's place."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from tiny_training import HEAD, MACHINE, TRAIN, changed, dataset, one_process

from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.networks.backbones import iresnet, mobilefacenet
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.checkpoints import load_network
from pipeline_lib.networks.heads.shared.class_weights import ClassWeights, read_class_weights
from pipeline_lib.networks.training.augment import Square
from pipeline_lib.networks.training.data import TrainingSet
from pipeline_lib.networks.training.fit import (
    Fitted,
    fit,
    forget_training,
    means_over_time,
    resume_folder,
    size_figures,
    write_fitted,
)
from pipeline_lib.params.networks import Network

SPEC = iresnet.Spec(blocks=(1, 1, 1, 1), width=0.125, embedding_dim=8, input_px=28)


def test_training_state_lies_outside_the_outputs() -> None:
    assert resume_folder(Path("data/networks/iresnet")) == Path(".resume/networks/iresnet")
    assert resume_folder(Path("data/region_networks/p56_x0_y0")) != resume_folder(Path("data/networks/p56_x0_y0"))


def test_files_of_a_trained_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out, record = Path("data/networks/n"), Path("data/train/n")
    resume_folder(out).mkdir(parents=True)
    row = {"step": 2, "epoch": 0.5, "loss": 1.5, "learning_rate": 0.1, "images_per_s": 7.0}
    network = build_network(SPEC)
    rows = [row, {**row, "val_auc": 0.9}]
    head = {"kind": "cosface", "scale": 16.0, "margin": 0.3}
    entry = Network.model_validate({"arch": "iresnet", "epochs": 4, "head": head, "checkpoint": "data/none"})
    classes = ClassWeights(np.eye(3, 8, dtype=np.float32), ["al", "bo", "cy"], 16.0)
    write_fitted({out / "a": network, out / "b": network}, Fitted(rows, {"loss": 1.5}, {"a": classes}), entry, record)
    assert read_class_weights(out / "a").identities == classes.identities
    assert {path.name for path in (out / "b").iterdir()} == {"network.json", "network.safetensors"}
    assert load_network(out / "a").spec == load_network(out / "b").spec == SPEC
    with (record / "history.csv").open() as handle:
        found = list(csv.DictReader(handle))
    assert [{name: float(value) for name, value in one.items() if value} for one in found] == rows
    words = "IResNet, ArcFace's residual network (blocks 1-1-1-1, width 0.125)"
    about = {
        "trained": True,
        "epochs": 4,
        "head": head,
        "checkpoint": "data/none",
        "teacher": "none",
        "arch": "iresnet",
        "description": words,
    }
    assert json.loads((record / "metrics.json").read_text()) == {"loss": 1.5, **about}
    assert json.loads((record / "headline.json").read_text()) == {"loss": 1.5}
    assert resume_folder(out).exists()
    forget_training(out)
    assert not resume_folder(out).exists()
    forget_training(out)  # nothing there: an import has no state


def test_size_figures_count_every_parameter() -> None:
    network = build_network(mobilefacenet.Spec(embedding_dim=128))
    assert size_figures({"one": network}) == {"num_parameters": 999_552, "num_steps": 0}
    assert size_figures({"one": network, "two": network})["num_parameters"] == 2 * 999_552


def test_figures_of_a_training_weigh_its_rows_by_their_time() -> None:
    # 10 steps at 20 images a second take twice the time of 10 at 40, in steps of any size
    rows = [
        {"step": 10.0, "images_per_s": 20.0, "data_wait_share": 0.3},
        {"step": 20.0, "images_per_s": 40.0, "data_wait_share": 0.0},
    ]
    assert means_over_time(rows) == {"images_per_s": pytest.approx(20 / 0.75), "data_wait_share": pytest.approx(0.2)}


class Faces:
    """Four grey faces."""

    def __len__(self) -> int:
        return 4

    def read_many(self, rows: list[int]) -> list[bytes]:
        """PNGs of 112 px."""
        return [encode_png(np.full((112, 112, 3), 40 * row, np.uint8)) for row in rows]

    def name(self, i: int) -> str:
        """A name for messages."""
        return f"face{i}"


@pytest.mark.parametrize("rate", [None, 1.0])
def test_class_weights_are_those_of_the_last_step(
    rate: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    members, labels = np.array([[(0, i)] for i in range(4)]), np.arange(4) % 2
    faces = TrainingSet([Faces()], members, labels, ("al", "bo"), 112, (Square(112, 0, 0),), None, "d")
    train = changed(TRAIN, partial_fc_rate=rate, learning_rate=0.5)
    found = []
    for name in ("once", "again"):
        network = build_network(iresnet.Spec(blocks=(1, 1, 1, 1), width=0.125, embedding_dim=8), seed=1)
        common = HEAD, train, 1, MACHINE, one_process(), Path("data/networks", name), lambda row, step: None, None
        found.append(fit({"net": network}, faces, *common).classes["net"])
    assert (found[0].identities, found[0].scale) == (["al", "bo"], 8.0)
    assert found[0].weights.shape == (2, 8)
    np.testing.assert_array_equal(found[0].weights, found[1].weights)
    assert np.abs(found[0].weights).max() > 0.1  # they began at N(0, 0.01)


def test_regions_keep_no_class_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    common = HEAD, TRAIN, 1, MACHINE, one_process(), Path("data/region_networks/r"), lambda row, step: None, None
    assert fit({"region": build_network(SPEC)}, dataset(), *common).classes == {}
