"""Two people, ten pictures, a tiny network: the smallest training that learns something."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import torch

from pipeline_lib.core.world import World
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
from pipeline_lib.networks.heads.shared.build import HeadSettings
from pipeline_lib.networks.training.data import Square, TrainingSet
from pipeline_lib.networks.training.settings import TrainSettings
from pipeline_lib.networks.training.trainee import Trainee, new_trainee

SETTINGS = TrainSettings(
    epochs=3,
    batch_size=4,
    micro_batch_size=None,
    learning_rate=0.05,
    momentum=0.9,
    weight_decay=5e-4,
    clip_norm=5.0,
    warmup_epochs=1,
    head=HeadSettings("arcface", 8.0, 0.2),
    partial_fc_rate=None,
    shift_px=2,
    ema_decay=None,
    validate_every_epochs=None,
    compile=False,
    checkpoint_every_steps=100,
    log_every_steps=2,
    num_loader_threads=2,
    seed=3,
)
SPEC = NetworkSpec("iresnet", (1, 1, 1, 1), 0.125, 8, input_px=28)


class Pictures:
    """Ten pictures of two sharply different people."""

    def __len__(self) -> int:
        return 10

    def read(self, i: int) -> bytes:
        """A PNG whose upper half is brighter for one of the two."""
        image = np.full((28, 28, 3), 20 + 5 * i, np.uint8)
        image[:14] += 100 * np.uint8(i % 2)
        return cv2.imencode(".png", image)[1].tobytes()

    def name(self, i: int) -> str:
        """A name for messages."""
        return f"picture{i}.png"


def dataset(num_views: int = 1) -> TrainingSet:
    """The pictures, whole, as one view or several."""
    members = np.array([[(0, i)] for i in range(10)], dtype=np.int64)
    views = (Square(28, 0, 0),) * num_views
    return TrainingSet([Pictures()], members, np.arange(10, dtype=np.int64) % 2, ("a", "b"), 28, views, None, "d")


def trainee(settings: TrainSettings = SETTINGS, seed: int = 3) -> Trainee:
    """Network and head with weights drawn from `seed`."""
    return new_trainee(build_network(SPEC, seed), dataclasses.replace(settings, seed=seed), 2)


def one_process() -> World:
    """A world of one on the CPU."""
    return World(0, 0, 1, torch.device("cpu"))


def train_in_a_process(folder: Path, repository: Path, *options: str) -> int:
    """Exit code of tests/distributed/train_worker.py as a world of one, which leaves its results in `folder`."""
    worker = repository / "tests" / "distributed" / "train_worker.py"
    command = [sys.executable, str(worker), "--folders", str(folder), *options]
    env = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    (code,) = json.loads(done.stdout)
    return int(code)
