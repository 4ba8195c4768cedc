"""A method, its settings and a network: two faces in, their explanation out."""

from types import ModuleType

import numpy as np

from pipeline_lib.params.section import Section
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder, Images
from pipeline_lib.why.explanation.shared.explanation import WITH_PATCHES, Explanation


class Explainer:
    """One entry of `explanations`.

    Args:
        kind: a module of why/explanation.
        settings: the entry's, checked by the kind.
        embedder: around the network that is explained.
    """

    def __init__(self, kind: ModuleType, settings: Section, embedder: Embedder) -> None:
        self.kind, self.settings, self.embedder = kind, settings, embedder

    def __call__(self, images: Images, rng: np.random.Generator) -> tuple[EmbeddedPair, Explanation]:
        """Explain two aligned faces, uint8 (2, 112, 112, 3).

        Args:
            rng: for methods that draw.

        Raises:
            DataError, ParamsError: as the kind's explain.
        """
        faces = self.embedder.pair(images, with_patches=self.kind.REQUIRES in WITH_PATCHES)
        found: Explanation = self.kind.explain(self.embedder, faces, self.settings, rng)
        return faces, found
