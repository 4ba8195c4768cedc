"""Training samples: which image, of whom, and how it is shifted and mirrored this time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.networks.training.augment import Square, drawn_augmentation, shifted_squares
from pipeline_lib.networks.training.decoded import DecodedImages, Reader

if TYPE_CHECKING:
    from pipeline_lib.networks.embeddings.teacher import Teacher
    from pipeline_lib.networks.training.partners import Partners

DRAW, MARGIN, PARTNER = 1, 2, 3  # what a sample's random numbers are for, beside how it is mirrored and shifted


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
        kept_bytes: of decoded images that stay in memory; decides no pixel.
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
    kept_bytes: int = 0

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

    @cached_property
    def decoded(self) -> DecodedImages:
        """The stored images as pixels."""
        return DecodedImages(self.readers, self.stored_px, self.kept_bytes)

    def load(
        self, samples: npt.NDArray[np.int64], shift_px: int, seed: int, epoch: int
    ) -> list[npt.NDArray[np.generic]]:
        """The views of augmented samples: each mirrored or not, shifted by up to shift_px either way, its views all by the same.

        Args:
            samples: int64 (B,).

        Returns:
            V arrays, uint8 RGB (B,side,side,3).

        Raises:
            DataError: a stored image has another size, or is unreadable.
        """
        return list(self.shown(samples, *drawn_augmentation(samples, shift_px, seed, epoch)))

    def shown(
        self,
        samples: npt.NDArray[np.int64],
        mirrored: npt.NDArray[np.int64],
        shift_x: npt.NDArray[np.int64],
        shift_y: npt.NDArray[np.int64],
    ) -> list[npt.NDArray[np.uint8]]:
        """As load, of samples that are mirrored or not (0 or 1) and shifted by so many px; each (B,)."""
        has_partners = self.members.shape[1] == 2  # stored mirrored
        images = self.decoded.get(self.members[samples, mirrored if has_partners else 0])
        turned = np.zeros_like(mirrored) if has_partners else mirrored
        return [shifted_squares(images, view, turned, shift_x, shift_y) for view in self.views]

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
    images = dataset.load(samples, shift_px, seed, epoch)
    drawn = _drawn(samples, seed, epoch, draw)
    noise = [sample_rng(seed, epoch, int(sample), MARGIN).standard_normal() for sample in samples if needs_noise]
    labels: npt.NDArray[np.int64] | npt.NDArray[np.float32] = dataset.labels[samples]
    if dataset.teacher is not None:
        labels = dataset.teacher.targets(samples, drawn_augmentation(samples, shift_px, seed, epoch)[0])
    return Batch(
        images,
        labels,
        drawn,
        np.array(noise, np.float32) if needs_noise else None,
        samples,
    )


def _drawn(
    samples: npt.NDArray[np.int64],
    seed: int,
    epoch: int,
    draw: Callable[[np.random.Generator], npt.NDArray[np.generic] | None],
) -> npt.NDArray[np.generic] | None:
    """(B,k); a network that draws nothing for the first sample draws nothing for the others."""
    drawn = []
    for sample in samples:
        values = draw(sample_rng(seed, epoch, int(sample), DRAW))
        if values is None:
            return None
        drawn.append(values)
    return np.stack(drawn)


def sample_rng(seed: int, epoch: int, sample: int, purpose: int) -> np.random.Generator:
    """The random numbers of one sample in one epoch, for one purpose."""
    return np.random.default_rng([seed % 2**64, epoch, sample, purpose])


def check_shift(dataset: TrainingSet, shift_px: int) -> None:
    """Refuse a shift that stored regions have no margin for.

    Raises:
        ParamsError: train.shift_px is larger than regions.margin_px.
    """
    largest = dataset.max_shift_px
    if shift_px < 0 or (largest is not None and shift_px > largest):
        allowed = "0 or more" if largest is None else f"0 to {largest} (regions.margin_px)"
        raise ParamsError("A random shift is not possible.", got=shift_px, allowed=allowed, where="train.shift_px")
