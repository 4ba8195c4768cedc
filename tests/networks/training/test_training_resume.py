"""A training that was killed or stopped ends with the very bits of one that was not."""

import json
import os
import shutil
import signal
import subprocess
import sys
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
    assert "A signal stopped the training after step 5 of 12" in (tmp_path / "rank0.txt").read_text()
    assert train(tmp_path, repository) == 0
    assert result(tmp_path) == undisturbed


def test_a_killed_training_whose_code_changed_starts_anew_and_says_so(tmp_path: Path, repository: Path) -> None:
    """In a copied checkout, where a margin is edited between the kill and the next run."""
    checkout, out = tmp_path / "checkout", tmp_path / "out"
    for part in ("pipeline_lib", "tests/distributed"):
        shutil.copytree(repository / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
    killed = ("--signal", "SIGKILL", "--signal-step")  # the process's own steps count
    assert train(out, checkout, *killed, "8") == -signal.SIGKILL
    assert train(out, checkout, *killed, "2") == -signal.SIGKILL  # the same code goes on, and is killed in step 8 again
    assert "training goes on after step 6" in (out / "rank0.txt").read_text()
    arcface = checkout / "pipeline_lib" / "networks" / "heads" / "arcface.py"
    margin = arcface.read_text()
    edited = margin.replace(
        "moved = turned(cosine, math.cos(self.margin)", "moved = turned(cosine, math.cos(2 * self.margin)"
    )
    assert edited != margin
    arcface.write_text(edited)
    assert train(out, checkout) == 0
    said = (out / "rank0.txt").read_text()
    assert "training starts anew" in said
    assert "is of another training (code was " in said
    assert json.loads((out / "history.json").read_text())[0]["step"] == 4  # from the first step


def test_the_code_of_a_training_is_that_of_its_own_kinds(tmp_path: Path, repository: Path) -> None:
    """In a copied checkout, whose files change while one process reads them again and again."""
    shutil.copytree(
        repository / "pipeline_lib", tmp_path / "pipeline_lib", ignore=shutil.ignore_patterns("__pycache__")
    )
    code = """
import json, sys
from pathlib import Path
from pipeline_lib.networks.backbones import iresnet
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.heads import arcface
from pipeline_lib.networks.heads.shared.build import build_head
from pipeline_lib.networks.training.checkpoint import code_of
from pipeline_lib.networks.training.trainee import Trainee
network = build_network(iresnet.Spec(blocks=(1, 1, 1, 1), width=0.125, embedding_dim=8))
trainees = [Trainee(network, build_head(arcface.Settings(scale=8.0, margin=0.2), 8, 2))]
before, changed = code_of(trainees), {}
for name in sys.argv[1:]:
    file = Path("pipeline_lib", name)
    file.write_text(file.read_text() + "# another")
    after = code_of(trainees)
    before, changed[name] = after, after != before
print(json.dumps(changed))
"""
    others = ["networks/heads/cosface.py", "networks/backbones/vit.py", "networks/embedding/batches.py"]
    own = ["networks/heads/arcface.py", "networks/heads/shared/angles.py", "networks/backbones/iresnet.py"]
    own += ["networks/training/schedule.py", "data/shards/plan.py", "data/shards/shuffle.py", "core/pixels.py"]
    command = [sys.executable, "-c", code, *others, *own]
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == dict.fromkeys(others, False) | dict.fromkeys(own, True)
