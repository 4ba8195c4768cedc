"""Resume files: exact, atomic, and never resumed for something else."""

import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline_lib.core.errors import PipelineError
from pipeline_lib.training.checkpoint import CHECKPOINT, Progress, load_checkpoint, save_checkpoint, training_digest


def trained(seed: int, steps: int) -> tuple[nn.Module, torch.optim.SGD]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9, fused=True)
    for _ in range(steps):
        take_step(model, optimiser)
    return model, optimiser


def take_step(model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad()
    x = torch.linspace(-1, 1, 2 * 3 * 6 * 6).view(2, 3, 6, 6).contiguous(memory_format=torch.channels_last)
    (model(x) ** 3).mean().backward()
    optimiser.step()


def test_weights_momentum_and_progress_come_back(tmp_path: Path) -> None:
    model, optimiser = trained(0, 3)
    progress = Progress(3, [0.1, 0.2], [{"step": 2, "loss": 1 / 3}])
    save_checkpoint(tmp_path, model, optimiser, progress, "digest")
    other, other_optimiser = trained(1, 0)
    assert load_checkpoint(tmp_path, other, other_optimiser, "digest") == progress
    for _ in range(2):  # the next steps need the momentum and the running statistics
        take_step(model, optimiser)
        take_step(other, other_optimiser)
    wanted = model.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in other.state_dict().items())
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_nothing_there_is_a_fresh_start(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "none", *trained(0, 0), "digest") == Progress()


def test_other_digest_and_damage_are_said_and_not_resumed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_checkpoint(tmp_path, *trained(0, 3), Progress(3), "digest")
    fresh, optimiser = trained(1, 0)
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    with caplog.at_level(logging.WARNING):
        assert load_checkpoint(tmp_path, fresh, optimiser, "other") == Progress()
        assert "other settings, data or initial weights" in caplog.text
        path = tmp_path / CHECKPOINT
        whole = path.read_bytes()
        for broken in (b"", whole[:50], whole[:-1]):
            path.write_bytes(broken)
            caplog.clear()
            assert load_checkpoint(tmp_path, fresh, optimiser, "digest") == Progress()
            assert f"{path} is unreadable" in caplog.text
    assert all(torch.equal(value, before[name]) for name, value in fresh.state_dict().items())
    assert not optimiser.state


def test_a_failed_write_keeps_the_previous_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, optimiser = trained(0, 3)
    save_checkpoint(tmp_path, model, optimiser, Progress(3), "digest")

    def full_disk(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline_lib.training.checkpoint.save_file", full_disk)
    with pytest.raises(PipelineError, match=r"could not be written[\s\S]*No space left"):
        save_checkpoint(tmp_path, model, optimiser, Progress(4), "digest")
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    assert load_checkpoint(tmp_path, *trained(1, 0), "digest").step == 3


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PipelineError, match=r"could not be written[\s\S]*file/resume"):
        save_checkpoint(tmp_path / "file" / "resume", *trained(0, 1), Progress(1), "digest")


def test_digest_changes_with_whatever_decides_the_result() -> None:
    model = trained(0, 0)[0]
    digest = training_digest(model, {"epochs": 3}, ["a"])
    assert digest == training_digest(trained(0, 0)[0], {"epochs": 3}, ["a"])
    assert digest != training_digest(trained(1, 0)[0], {"epochs": 3}, ["a"])
    assert digest != training_digest(model, {"epochs": 4}, ["a"])
    assert digest != training_digest(model, {"epochs": 3}, ["b"])
