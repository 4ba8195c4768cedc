"""The smallest generator and faces to train it on: six faces of three people, each of one colour with a bright left half."""

import cv2
import numpy as np

from pipeline_lib.networks.training.augment import Square
from pipeline_lib.networks.training.data import TrainingSet
from pipeline_lib.params.generators import Generator

SETTINGS = Generator(
    judge="iresnet",
    side_px=28,
    width=2,
    max_channels=8,
    latent_dim=4,
    num_steps=7,
    batch_size=2,
    learning_rate=1e-3,
    r1_gamma=10.0,
    r1_every_steps=2,
    ema_decay=0.9,
    num_judged=64,
    seed=3,
)


def face(number: int) -> "np.ndarray":
    """Face `number`, uint8 (112,112,3)."""
    image = np.full((112, 112, 3), 30 * number, np.uint8)
    image[:, :56] += 60
    return image


class Pictures:
    """Six faces as PNG."""

    def __len__(self) -> int:
        return 6

    def read_many(self, rows: list[int]) -> list[bytes]:
        """The PNGs of faces."""
        return [cv2.imencode(".png", face(row)[:, :, ::-1])[1].tobytes() for row in rows]

    def name(self, i: int) -> str:
        """A name for messages."""
        return f"face{i}"


def dataset() -> TrainingSet:
    """The faces, whole."""
    members = np.array([[(0, i)] for i in range(6)], np.int64)
    labels, people = np.arange(6, dtype=np.int64) % 3, ("a", "b", "c")
    return TrainingSet([Pictures()], members, labels, people, 112, (Square(112, 0, 0),), None, "digest")
