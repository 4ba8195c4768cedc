"""A method, its settings and a network: two faces in, their explanation out."""

import time
from types import ModuleType
from typing import NamedTuple

import numpy as np

from pipeline_lib.params.section import Section
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder, Images
from pipeline_lib.why.explanation.shared.explanation import WITH_PATCHES, Explanation


class Cost(NamedTuple):
    """What explaining a pair took: seconds of embedding it and of the method, and images through the network for both."""

    embedding_s: float
    method_s: float
    num_forward: int
    num_backward: int


class Explainer:
    """One entry of `explanations`.

    Args:
        kind: a module of why/explanation.
        settings: the entry's, checked by the kind.
        embedder: around the network that is explained.

    Attributes:
        cost: of the latest pair; zeros before the first.
    """

    def __init__(self, kind: ModuleType, settings: Section, embedder: Embedder) -> None:
        self.kind, self.settings, self.embedder = kind, settings, embedder
        self.cost = Cost(0.0, 0.0, 0, 0)

    def __call__(self, images: Images, rng: np.random.Generator) -> tuple[EmbeddedPair, Explanation]:
        """Explain two aligned faces, uint8 (2, 112, 112, 3).

        Args:
            rng: for methods that draw.

        Raises:
            DataError, ParamsError: as the kind's explain.
        """
        started, forward, backward = time.perf_counter(), self.embedder.num_forward, self.embedder.num_backward
        faces = self.embedder.pair(images, with_patches=self.kind.REQUIRES in WITH_PATCHES)
        embedded = time.perf_counter()  # both steps end in arrays on the host, so a GPU has nothing left to do
        found: Explanation = self.kind.explain(self.embedder, faces, self.settings, rng)
        self.cost = Cost(
            embedded - started,
            time.perf_counter() - embedded,
            self.embedder.num_forward - forward,
            self.embedder.num_backward - backward,
        )
        return faces, found
