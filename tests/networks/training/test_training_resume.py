"""A training that was killed or stopped ends with the very bits of one that was not."""

import json
import signal
from pathlib import Path

import pytest
from safetensors import safe_open
from tiny_training import train_in_a_process

OPTIONS = ("--network", "rrfnet", "--epochs", "2", "--batch-size", "4", "--checkpoint-every", "3", "--log-every", "4")


def train(folder: Path, repository: Path, *options: str) -> int:
    """Exit code of one process's training."""
    return train_in_a_process(folder, repository, *OPTIONS, *options)


def result(folder: Path) -> tuple[bytes, str]:
    return (folder / "result0.safetensors").read_bytes(), (folder / "history.json").read_text()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> tuple[bytes, str]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert train(folder, repository) == 0
    return result(folder)


def test_kill_minus_nine_in_the_middle_of_a_step(
    tmp_path: Path, repository: Path, undisturbed: tuple[bytes, str]
) -> None:
    # rrfnet: order, shifts, mirroring and masks are drawn; batch normalisation keeps running statistics.
    # Killed in step 8, in the second epoch; the last checkpoint is of step 6, whose losses of 5 and 6 are in no row yet.
    assert train(tmp_path, repository, "--signal", "SIGKILL", "--signal-step", "8") == -signal.SIGKILL
    with safe_open(tmp_path / "resume" / "checkpoint.safetensors", "pt") as file:
        assert json.loads(file.metadata()["state"])["step"] == 6
    assert not (tmp_path / "history.json").exists()
    assert train(tmp_path, repository) == 0
    assert result(tmp_path) == undisturbed
    assert "training goes on after step 6" in (tmp_path / "rank0.txt").read_text()


def test_sigint_saves_after_the_step(tmp_path: Path, repository: Path, undisturbed: tuple[bytes, str]) -> None:
    assert train(tmp_path, repository, "--signal", "SIGINT", "--signal-step", "5") == 3
    assert "A signal stopped the training after step 5 of 10" in (tmp_path / "rank0.txt").read_text()
    assert train(tmp_path, repository) == 0
    assert result(tmp_path) == undisturbed
