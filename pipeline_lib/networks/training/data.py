"""Training samples: which image, of whom, and how it is shifted and mirrored this time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.data.shards.images import decode_image

if TYPE_CHECKING:
    from pipeline_lib.networks.embeddings.teacher import Teacher
    from pipeline_lib.networks.training.partners import Partners

AUGMENT, DRAW, MARGIN, PARTNER = 0, 1, 2, 3  # what a sample's random numbers are for


class Square(NamedTuple):
    """A square of an image, in px; (x, y) is its top-left corner."""

    size_px: int
    x: int
    y: int


class Reader(Protocol):
    """Anything that holds PNG images by number; shards.reader.ShardReader is one."""

    def __len__(self) -> int: ...

    def read(self, i: int) -> bytes: ...

    def name(self, i: int) -> str: ...


@dataclass(frozen=True)
class TrainingSet:
    """Samples in a fixed order, and the views that networks have of them.

    Args:
        readers: where the images are.
        members: int64 (N,M,2), reader number and row. M = 1: one stored image, mirrored in pixels. M = 2: a region and
            the mirrored region from the other half of the face, which stands for its mirror image (RRFNet III-A).
        labels: int64 (N,), class of each sample, an index into `classes`.
        classes: the identities, sorted.
        stored_px: side of the stored images.
        views: V squares of the stored (and mirrored) image, one for each network that learns from it: the whole image,
            or regions that share its decoding.
        max_shift_px: how far the views may be shifted; None for any distance, where border pixels repeat.
        digest: changes when the samples do; a checkpoint of other data is not resumed.
        teacher: whose embeddings are learned in the labels' place, without which two classes at least are needed.
    """

    readers: Sequence[Reader]
    members: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    stored_px: int
    views: tuple[Square, ...]
    max_shift_px: int | None
    digest: str
    teacher: "Teacher | None" = None

    def __post_init__(self) -> None:
        if len(self.labels) == 0:
            raise DataError("There is no image to train on.")
        if self.teacher is None and len(self.classes) < 2:
            raise DataError("Training needs at least two identities.", got=self.classes)
        if self.labels.min() < 0 or self.labels.max() >= len(self.classes):
            got = f"{self.labels.min()} to {self.labels.max()}"
            raise DataError("A label is out of range.", got=got, allowed=f"0 to {len(self.classes) - 1}")

    def __len__(self) -> int:
        return len(self.labels)

    def load(self, sample: int, shift_px: int, seed: int, epoch: int) -> list[npt.NDArray[np.generic]]:
        """The views of one augmented sample: mirrored or not, shifted by up to shift_px either way, all by the same.

        Returns:
            V arrays, uint8 RGB (side,side,3).

        Raises:
            DataError: the stored image has another size, or is unreadable.
        """
        mirrored, shift_x, shift_y = drawn_augmentation(sample, shift_px, seed, epoch)
        return list(self.shown(sample, mirrored, shift_x, shift_y))

    def shown(self, sample: int, mirrored: int, shift_x: int = 0, shift_y: int = 0) -> list[npt.NDArray[np.uint8]]:
        """As load, of a sample that is mirrored or not and shifted by so many px."""
        num_members = self.members.shape[1]
        reader, row = self.members[sample, mirrored if num_members == 2 else 0]
        image = decode_image(self.readers[reader].read(int(row)))
        if image.shape != (self.stored_px, self.stored_px, 3):
            allowed, where = f"{self.stored_px}x{self.stored_px}", self.name(sample)
            raise DataError("A training image has another size.", got=image.shape, allowed=allowed, where=where)
        if num_members == 1:
            # Mirroring moves the face, not the shift: a mirrored face shifts as if it had been stored mirrored.
            image = image[:, ::-1] if mirrored else image
        return [shifted_square(image, view, shift_x, shift_y) for view in self.views]

    def name(self, sample: int) -> str:
        """The key of a sample's image, for messages."""
        reader, row = self.members[sample, 0]
        return str(self.readers[reader].name(int(row)))


@dataclass(frozen=True)
class Batch:
    """A rank's batch; of pairs, two rows each, 2i and 2i+1.

    Args:
        images: for each view uint8 (B,S,S,3), or float32 (B,F) of cached maps.
        labels: int64 (B,), or the teacher's embeddings of the same views, float32 (B,D) of unit length.
        drawn: (B,k), what FaceNetwork.draw gave for each sample, or None.
        noise: float32 (B,), a standard normal number a sample for heads that draw their margins, or None.
        samples: int64 (B,), rows of the training set.
    """

    images: list[npt.NDArray[np.generic]]
    labels: npt.NDArray[np.int64] | npt.NDArray[np.float32]
    drawn: npt.NDArray[np.generic] | None
    noise: npt.NDArray[np.float32] | None
    samples: npt.NDArray[np.int64]


def load_batch(
    dataset: TrainingSet,
    samples: npt.NDArray[np.int64],
    shift_px: int,
    seed: int,
    epoch: int,
    draw: Callable[[np.random.Generator], npt.NDArray[np.generic] | None],
    needs_noise: bool,
    partners: "Partners | None" = None,
) -> Batch:
    """The batch of `samples`; every random number in it is a function of (seed, epoch, sample) alone.

    So a batch is the same whatever rank loads it and whether or not training was interrupted before it. With `partners` each
    sample's follows it, which makes a batch of pairs.
    """
    if partners is not None:
        beside = [partners.draw(int(sample), seed, epoch) for sample in samples]
        samples = np.stack([samples, beside], axis=1).ravel()
    loaded = [dataset.load(int(sample), shift_px, seed, epoch) for sample in samples]
    images = [np.stack(view) for view in zip(*loaded, strict=True)]
    each = [draw(sample_rng(seed, epoch, int(sample), DRAW)) for sample in samples]
    drawn = [values for values in each if values is not None]
    noise = [sample_rng(seed, epoch, int(sample), MARGIN).standard_normal() for sample in samples if needs_noise]
    labels: npt.NDArray[np.int64] | npt.NDArray[np.float32] = dataset.labels[samples]
    if dataset.teacher is not None:
        mirrored = [drawn_augmentation(int(sample), shift_px, seed, epoch)[0] for sample in samples]
        labels = dataset.teacher.targets(samples, np.array(mirrored))
    return Batch(
        images,
        labels,
        np.stack(drawn) if drawn else None,
        np.array(noise, np.float32) if needs_noise else None,
        samples,
    )


def drawn_augmentation(sample: int, shift_px: int, seed: int, epoch: int) -> tuple[int, int, int]:
    """Whether a sample is mirrored this time (0 or 1), and its shift in x and y, px."""
    rng = sample_rng(seed, epoch, sample, AUGMENT)
    mirrored = int(rng.integers(2))
    shift_x, shift_y = (int(shift) for shift in rng.integers(-shift_px, shift_px + 1, size=2))
    return mirrored, shift_x, shift_y


def sample_rng(seed: int, epoch: int, sample: int, purpose: int) -> np.random.Generator:
    """The random numbers of one sample in one epoch, for one purpose."""
    return np.random.default_rng([seed % 2**64, epoch, sample, purpose])


def shifted_square(image: npt.NDArray[np.uint8], square: Square, shift_x: int, shift_y: int) -> npt.NDArray[np.uint8]:
    """A square of an image, moved right by shift_x and down by shift_y; beyond the border its pixels repeat.

        out[i, j] = image[clip(y + shift_y + i), clip(x + shift_x + j)]

    Args:
        image: uint8 (H,W,3).
        square: inside the image.
        shift_x, shift_y: in px.

    Returns:
        uint8 (S,S,3), a view of the image where the square stays inside it.
    """
    height, width = image.shape[:2]
    size, x, y = square.size_px, square.x + shift_x, square.y + shift_y
    if 0 <= x <= width - size and 0 <= y <= height - size:
        return image[y : y + size, x : x + size]
    rows = np.clip(y + np.arange(size), 0, height - 1)
    columns = np.clip(x + np.arange(size), 0, width - 1)
    window: npt.NDArray[np.uint8] = image[rows[:, None], columns[None, :]]
    return window


def check_shift(dataset: TrainingSet, shift_px: int) -> None:
    """Refuse a shift that stored regions have no margin for.

    Raises:
        ParamsError: train.shift_px is larger than regions.margin_px.
    """
    largest = dataset.max_shift_px
    if shift_px < 0 or (largest is not None and shift_px > largest):
        allowed = "0 or more" if largest is None else f"0 to {largest} (regions.margin_px)"
        raise ParamsError("A random shift is not possible.", got=shift_px, allowed=allowed, where="train.shift_px")
