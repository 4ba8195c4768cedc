"""What a kind of anchors is given, and what it finds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.cosine import Floats, unit
from pipeline_lib.matching.anchors.shared.anchors import Anchors
from pipeline_lib.networks.backbones.shared.checkpoints import weights_digest
from pipeline_lib.params.align import Align
from pipeline_lib.params.anchors import Anchors as Entry


@dataclass(frozen=True)
class TrainingFaces:
    """The aligned images of the train split.

    Attributes:
        image_ids, identities: N each.
        vectors: float32 (N, D), the network's, not normalised.
    """

    image_ids: Sequence[str]
    identities: Sequence[str]
    vectors: Floats


@dataclass(frozen=True)
class Inputs:
    """What anchors can be made of.

    Attributes:
        entry: of params.anchors: max_anchors and seed among others.
        network: the network's folder.
        training: its training faces.
        embed: from aligned images, uint8 (B, 112, 112, 3) RGB, B >= 1, to the network's vectors, float32 (B, D).
        batch_size: images a forward pass.
        align, max_pixels: how a photograph becomes an aligned face (sections align and ingest).
        num_workers: processes that detect faces; see core.parallel.map_batches.
    """

    entry: Entry
    network: Path
    training: TrainingFaces
    embed: Callable[[npt.NDArray[np.uint8]], Floats]
    batch_size: int
    align: Align
    max_pixels: int
    num_workers: int


@dataclass(frozen=True)
class OwnClass:
    """What the head thinks of each training image.

    Attributes:
        cosines: float32 (N,), with the weight of the image's own class.
        probabilities: float32 (N,), of that class: the softmax of scale times the cosines with all classes, without margin.
    """

    cosines: Floats
    probabilities: Floats


@dataclass(frozen=True)
class Found:
    """Anchors.

    Attributes:
        image_ids, identities: A each; identities are unique.
        vectors: float32 (A, D), any length but 0.
        figures: for metrics.json.
        own_class: of a kind that knows the head; else None.
    """

    image_ids: Sequence[str]
    identities: Sequence[str]
    vectors: Floats
    figures: Mapping[str, float] = field(default_factory=dict)
    own_class: OwnClass | None = None

    def anchors(self, inputs: Inputs) -> Anchors:
        """These as the anchors of the entry's network, in its present state."""
        entry = inputs.entry
        return Anchors(
            list(self.image_ids),
            list(self.identities),
            unit(self.vectors),
            network=entry.network,
            scale=entry.scale,
            num_neighbours=entry.num_neighbours,
            kind=entry.kind,
            weights_digest=weights_digest(inputs.network),
        )


def draw_some(num: int, max_anchors: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Numbers below `num`, all of them or `max_anchors` drawn ones, int64, ascending."""
    if num <= max_anchors:
        return np.arange(num, dtype=np.int64)
    return np.sort(rng.choice(num, max_anchors, replace=False))
