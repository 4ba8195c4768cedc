"""Resume files: exact, atomic, and never resumed for something else."""

import dataclasses
import logging
from pathlib import Path

import pytest
import torch
from tiny_training import EPOCHS, HEAD, TRAIN, changed, dataset, one_process, trainee

from pipeline_lib.core.errors import PipelineError
from pipeline_lib.networks.heads.shared.settings import HeadSettings
from pipeline_lib.networks.training.checkpoint import (
    CHECKPOINT,
    Progress,
    check_writable,
    load_checkpoint,
    save_checkpoint,
    training_about,
)
from pipeline_lib.networks.training.data import TrainingSet
from pipeline_lib.networks.training.learner import Learner, MicroBatch
from pipeline_lib.params.train import Train

AVERAGED = changed(TRAIN, ema_decay=0.9)
ABOUT = {"settings": "these"}


def learners(steps: int, seed: int = 0, settings: Train = AVERAGED, head: HeadSettings = HEAD) -> list[Learner]:
    """Three networks after some steps."""
    trainees = {name: trainee(settings, seed + place, head) for place, name in enumerate("abc")}
    groups = ({"a": trainees.pop("a")}, trainees)  # one alone, two computed as one
    found = [Learner(group, settings, one_process()) for group in groups]
    for step in range(steps):
        take_step(found, step)
    return found


def take_step(found: list[Learner], step: int) -> None:
    images = torch.randint(0, 256, (4, 28, 28, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(step))
    for learner in found:
        views = images if len(learner.trainees) == 1 else torch.stack([images, images.flip(1)], dim=1)
        learner.take_step([MicroBatch(views, torch.tensor([0, 1, 0, 1]), None, None)], 0.01)


def state(found: list[Learner]) -> dict[str, torch.Tensor]:
    return {name: value.clone() for learner in found for name, value in learner.state().items()}


def test_weights_momentum_means_and_progress_come_back(tmp_path: Path) -> None:
    trained = learners(3)
    progress = Progress(3, [[0.1, 0.2, 0.3, 0.4]], [{"step": 2, "loss": 1 / 3}])
    save_checkpoint(tmp_path, trained, progress, ABOUT)
    other = learners(0, seed=5)
    assert load_checkpoint(tmp_path, other, ABOUT) == progress
    for step in (3, 4):  # the next steps need the momentum and the running statistics
        take_step(trained, step)
        take_step(other, step)
    wanted = state(trained)
    assert all(torch.equal(value, wanted[name]) for name, value in state(other).items())
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_nothing_there_is_a_fresh_start(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "none", learners(0), ABOUT) == Progress()


def test_another_training_and_damage_are_said_and_not_resumed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_checkpoint(tmp_path, learners(3), Progress(3), {"number of classes": "2", "images": "x"})
    fresh = learners(0, seed=5)
    before = state(fresh)
    with caplog.at_level(logging.WARNING):
        assert load_checkpoint(tmp_path, fresh, {"number of classes": "3", "images": "x"}) == Progress()
        assert "number of classes was 2, is 3)" in caplog.text
        path = tmp_path / CHECKPOINT
        whole = path.read_bytes()
        for broken in (b"", whole[:50], whole[:-1]):
            path.write_bytes(broken)
            caplog.clear()
            assert load_checkpoint(tmp_path, fresh, ABOUT) == Progress()
            assert f"{path} is unreadable" in caplog.text
    assert all(torch.equal(value, before[name]) for name, value in state(fresh).items())


def test_a_failed_write_keeps_the_previous_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, learners(3), Progress(3), ABOUT)

    def full_disk(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline_lib.networks.training.checkpoint.save_file", full_disk)
    with pytest.raises(PipelineError, match=r"could not be written[\s\S]*No space left"):
        save_checkpoint(tmp_path, learners(3), Progress(4), ABOUT)
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    assert load_checkpoint(tmp_path, learners(0), ABOUT).step == 3


def test_a_folder_that_cannot_be_written_is_named_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PipelineError, match=r"cannot be written here[\s\S]*file/resume"):
        check_writable(tmp_path / "file" / "resume")
    with pytest.raises(PipelineError, match=r"could not be written[\s\S]*file/resume"):
        save_checkpoint(tmp_path / "file" / "resume", learners(1), Progress(1), ABOUT)
    check_writable(tmp_path / "made" / "on the way")
    assert list((tmp_path / "made" / "on the way").iterdir()) == []


def test_about_changes_with_whatever_decides_the_result() -> None:
    def about_of(
        found: list[Learner], settings: Train = AVERAGED, epochs: int = EPOCHS, data: TrainingSet | None = None
    ) -> dict[str, str]:
        return training_about(found, settings, epochs, data or dataset())

    about = about_of(learners(0))
    assert about == about_of(learners(0))
    others = {
        "initial weights": about_of(learners(0, seed=1)),
        "heads": about_of(learners(0, head=changed(HEAD, margin=0.3))),
        "images": about_of(learners(0), data=dataclasses.replace(dataset(), digest="other")),
        "classes": about_of(learners(0), data=dataclasses.replace(dataset(), classes=("a", "c"))),
    }
    for key, other in others.items():
        assert [name for name in about if about[name] != other[name]] == [key]
    for other in (about_of(learners(0), epochs=9), about_of(learners(0), changed(AVERAGED, shift_px=1))):
        assert [name for name in about if about[name] != other[name]] == ["settings"]
    assert about_of(learners(0), changed(AVERAGED, compile=True, validate_every_epochs=5)) == about
