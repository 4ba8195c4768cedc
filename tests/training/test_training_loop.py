"""The loop in one process: rows, epochs, what is refused, and that a rank's draws do not depend on the resume point."""

import dataclasses
import signal
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipeline_lib.backbones.build import build_network
from pipeline_lib.backbones.network import FaceNetwork
from pipeline_lib.backbones.spec import NetworkSpec
from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.core.world import World
from pipeline_lib.heads.build import HeadSettings, build_head
from pipeline_lib.heads.softmax_margin import SoftmaxMarginHead
from pipeline_lib.training import loop
from pipeline_lib.training.data import Batch, TrainingSet
from pipeline_lib.training.distributed import batch_per_rank
from pipeline_lib.training.settings import TrainSettings
from pipeline_lib.training.stop import stop_request
from pipeline_lib.training.trainee import Trainee, to_device

SETTINGS = TrainSettings(
    epochs=3,
    batch_size=4,
    learning_rate=0.05,
    momentum=0.9,
    weight_decay=5e-4,
    clip_norm=5.0,
    warmup_epochs=1,
    head=HeadSettings("arcface", 8.0, 0.2),
    shift_px=2,
    checkpoint_every_steps=100,
    log_every_steps=2,
    num_loader_threads=2,
    seed=3,
)
SPEC = NetworkSpec("iresnet", (1, 1, 1, 1), 0.125, 8, input_px=28)
ONE = World(0, 0, 1, torch.device("cpu"))


class Pictures:
    """Ten pictures of two sharply different people."""

    def __len__(self) -> int:
        return 10

    def read(self, i: int) -> bytes:
        """A PNG whose left or right half is bright."""
        image = np.full((28, 28, 3), 20 + 5 * i, np.uint8)
        image[:14] += 100 * np.uint8(i % 2)
        return cv2.imencode(".png", image)[1].tobytes()


def dataset() -> TrainingSet:
    members = np.array([[(0, i)] for i in range(10)], dtype=np.int64)
    return TrainingSet([Pictures()], members, np.arange(10, dtype=np.int64) % 2, ("a", "b"), 28, 0, "d")


def parts(settings: TrainSettings = SETTINGS) -> tuple[FaceNetwork, SoftmaxMarginHead]:
    return build_network(SPEC, settings.seed), build_head(settings.head, 8, 2, settings.seed)


def test_rows_steps_and_learning(tmp_path: Path) -> None:
    logged: list[tuple[int, dict[str, float]]] = []
    network, head = parts()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    settings = dataclasses.replace(SETTINGS, epochs=6)
    history = loop.train_network(
        network, head, dataset(), settings, ONE, tmp_path, lambda row, step: logged.append((step, row))
    )
    assert [row["step"] for row in history] == [2, 4, 6, 8, 10, 12, 14, 16, 18]  # 3 steps an epoch of 10 in fours
    assert [row["epoch"] for row in history][:3] == pytest.approx([2 / 3, 4 / 3, 2], abs=1e-4)
    # warm-up of 3 steps to 0.05 at step index 3, then 15 steps down; row s holds the rate of step index s - 1
    assert history[0]["learning_rate"] == pytest.approx(0.05 * 2 / 4)
    assert history[1]["learning_rate"] == pytest.approx(0.05)
    assert history[-1]["learning_rate"] == pytest.approx(0.05 / 15)
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    assert all(row["images_per_s"] > 0 for row in history)
    assert [step for step, _ in logged] == [row["step"] for row in history]
    assert "step" not in logged[0][1]
    assert not torch.equal(network.state_dict()["conv1.weight"], before["conv1.weight"])
    assert torch.equal(network.state_dict()["features.weight"], before["features.weight"])  # frozen
    assert list(tmp_path.iterdir()) == []  # fewer steps than checkpoint_every_steps


def test_every_sample_comes_once_an_epoch_and_resuming_continues_the_plan(tmp_path: Path) -> None:
    def labels_from(step: int) -> list[list[int]]:
        run = loop._Run(*parts(), dataset(), SETTINGS, ONE, tmp_path, lambda row, step: None)
        run.progress.step = step
        return [batch.images[:, 20, 5, 0].tolist() for batch in run.batches()]

    whole = labels_from(0)
    assert len(whole) == 9
    for epoch in range(3):
        seen = [value for batch in whole[3 * epoch : 3 * epoch + 3] for value in batch]
        assert set(seen) == {20 + 5 * i for i in range(10)}
    assert labels_from(4) == whole[4:]
    assert labels_from(9) == []


def test_only_a_checkpoint_of_the_same_training_is_resumed(tmp_path: Path) -> None:
    def step_of(settings: TrainSettings, data: TrainingSet) -> int:
        run = loop._Run(*parts(settings), data, settings, ONE, tmp_path, lambda row, step: None)
        return run.progress.step

    run = loop._Run(*parts(), dataset(), SETTINGS, ONE, tmp_path, lambda row, step: None)
    run.take_step(next(run.batches()))
    run.collect_losses(stop=False)
    run.save()
    assert step_of(SETTINGS, dataset()) == 1
    for other in ({"seed": 4}, {"epochs": 4}, {"learning_rate": 0.04}, {"head": HeadSettings("cosface", 8.0, 0.2)}):
        assert step_of(dataclasses.replace(SETTINGS, **other), dataset()) == 0
    assert step_of(SETTINGS, dataclasses.replace(dataset(), digest="other")) == 0
    assert step_of(SETTINGS, dataclasses.replace(dataset(), classes=("a", "c"))) == 0


def test_the_backbones_gradient_is_clipped_and_the_heads_is_not(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, clip_norm=1e-3)
    network, head = parts()
    run = loop._Run(network, head, dataset(), settings, ONE, tmp_path, lambda row, step: None)
    run.take_step(next(run.batches()))
    norm = torch.stack([p.grad.norm() for p in network.parameters() if p.grad is not None]).norm()
    assert norm.item() == pytest.approx(1e-3, rel=1e-3)
    assert head.weight.grad.norm() > 1e-2


def test_pixels_become_values_from_minus_one_to_one() -> None:
    network, head = parts()
    seen: list[torch.Tensor] = []
    network.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    images = np.zeros((2, 28, 28, 3), np.uint8)
    images[1, :, :, 2] = 255
    images[1, 3, 4, 0] = 51
    Trainee(network, head)(*to_device(Batch(images, np.array([0, 1]), None), torch.device("cpu")))
    assert (seen[0][0] == -1).all()
    assert (seen[0][1, 2] == 1).all()
    assert seen[0][1, 0, 3, 4].item() == pytest.approx(-0.6)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_what_does_not_fit_is_refused_before_the_first_step(tmp_path: Path) -> None:
    network, _ = parts()
    one_class = build_head(SETTINGS.head, 8, 1)
    with pytest.raises(DataError, match="beyond the head's classes"):
        loop.train_network(network, one_class, dataset(), SETTINGS, ONE, tmp_path, lambda row, step: None)
    settings = dataclasses.replace(SETTINGS, shift_px=-1)
    with pytest.raises(ParamsError, match="shift_px"):
        loop.train_network(*parts(), dataset(), settings, ONE, tmp_path, lambda row, step: None)
    with pytest.raises(ParamsError, match=r"does not divide[\s\S]*4 over 3[\s\S]*multiple of 3"):
        batch_per_rank(4, World(0, 0, 3, torch.device("cpu")))
    for key in ("epochs", "batch_size", "log_every_steps", "checkpoint_every_steps", "num_loader_threads"):
        with pytest.raises(ParamsError, match=key):
            dataclasses.replace(SETTINGS, **{key: 0})


def test_stop_request_takes_signals_only_inside_its_block() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_request() as stop:
        assert not stop.made
        signal.raise_signal(signal.SIGTERM)
        assert stop.made
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # a second one ends the process
    assert signal.getsignal(signal.SIGTERM) == before
    with stop_request():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_outside_the_main_thread_no_signal_is_taken() -> None:
    made: list[bool] = []

    def elsewhere() -> None:
        with stop_request() as stop:
            made.append(stop.made)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert made == [False]
