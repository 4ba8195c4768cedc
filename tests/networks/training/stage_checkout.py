"""A copied checkout in which kinds can be dropped, with the smallest data that its training stages run on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from stage_data import write_stage_data

TINY = {"arch": "iresnet", "blocks": [1, 1, 1, 1], "width": 0.125, "embedding_dim": 8, "checkpoint": "data/none"}
HEAD = {"kind": "arcface", "scale": 8.0, "margin": 0.2}
DATA = ("--aligned", "data/align", "--occluded", "data/occlude", "--pairs", "data/ingest/pairs.parquet")


def copied_checkout(folder: Path, repository: Path, processes: int = 1, **sections: Any) -> Path:
    """The code, made data, machine.yaml, and params.yaml with small batches and `sections` in place of its own."""
    for name in ("pipeline_lib", "stages"):
        shutil.copytree(repository / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    params = yaml.safe_load((repository / "params.yaml").read_text())
    params["train"] |= {"batch_size": 4, "micro_batch_size": 2, "validate_every_epochs": 1}
    (folder / "params.yaml").write_text(yaml.safe_dump({**params, **sections}))
    machine = {"processes": processes, "log_every_steps": 1, "checkpoint_every_steps": 2}
    (folder / "machine.yaml").write_text(yaml.safe_dump(machine))
    write_stage_data(folder / "data")
    return folder


def python(checkout: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run Python with the checkout's code."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=300)


def train(checkout: Path, network: str, stage: str = "train", *options: str) -> "subprocess.CompletedProcess[str]":
    """Run a training stage for one network, as dvc.yaml does."""
    group = {"train": "networks", "train_over": "networks_over"}[stage]
    places = ("--out", f"data/{group}/{network}", "--record", f"data/{stage}/{network}")
    teachers = ("--teachers", "data/teachers") if stage == "train" else ()
    return python(checkout, "-m", f"stages.{stage}", "--network", network, *DATA, *teachers, *places, *options)
