"""Two people, thirteen pictures, a tiny network: the smallest training that learns something."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch

from pipeline_lib.core.world import World
from pipeline_lib.networks.backbones import iresnet
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.heads import arcface
from pipeline_lib.networks.heads.shared.settings import HeadSettings
from pipeline_lib.networks.training.augment import Square
from pipeline_lib.networks.training.data import TrainingSet
from pipeline_lib.networks.training.trainee import Trainee, new_trainee
from pipeline_lib.params.machine import Machine
from pipeline_lib.params.section import Section
from pipeline_lib.params.train import Train

S = TypeVar("S", bound=Section)
TRAIN = Train(
    batch_size=4,
    micro_batch_size=None,
    learning_rate=0.05,
    momentum=0.9,
    weight_decay=5e-4,
    clip_norm=5.0,
    warmup_epochs=1,
    partial_fc_rate=None,
    shift_px=2,
    use_occluded=False,
    ema_decay=None,
    validate_every_epochs=None,
    compile=False,
    seed=3,
)
EPOCHS = 3
HEAD = arcface.Settings(scale=8.0, margin=0.2)
MACHINE = Machine(checkpoint_every_steps=100, log_every_steps=2, threads_per_process=2)
SPEC = iresnet.Spec(blocks=(1, 1, 1, 1), width=0.125, embedding_dim=8, input_px=28)


class Pictures:
    """Thirteen pictures of two sharply different people."""

    def __len__(self) -> int:
        return 13

    def read_many(self, rows: list[int]) -> list[bytes]:
        """PNGs whose upper half is brighter for one of the two."""
        return [self.png(row) for row in rows]

    def png(self, i: int) -> bytes:
        """One of them."""
        image = np.full((28, 28, 3), 20 + 5 * i, np.uint8)
        image[:14] += 100 * np.uint8(i % 2)
        return cv2.imencode(".png", image)[1].tobytes()

    def name(self, i: int) -> str:
        """A name for messages."""
        return f"picture{i}.png"


def dataset(num_views: int = 1) -> TrainingSet:
    """The pictures, whole, as one view or several."""
    members = np.array([[(0, i)] for i in range(13)], dtype=np.int64)
    views = (Square(28, 0, 0),) * num_views
    return TrainingSet([Pictures()], members, np.arange(13, dtype=np.int64) % 2, ("a", "b"), 28, views, None, "d")


def changed(section: S, **values: object) -> S:
    """A section with other values, checked."""
    return type(section).model_validate({**section.model_dump(), **values})


def trainee(train: Train = TRAIN, seed: int = 3, head: HeadSettings = HEAD) -> Trainee:
    """Network and head with weights drawn from `seed`."""
    return new_trainee(build_network(SPEC, seed), head, changed(train, seed=seed), 2)


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
