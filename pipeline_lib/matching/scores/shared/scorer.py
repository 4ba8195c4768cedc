"""A pair score: the same function for a table of stored embeddings and for a registered model's two photographs."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline_lib.core.cosine import Floats
from pipeline_lib.matching.scores.shared.faces import Faces, Needs
from pipeline_lib.params.section import Section

State = dict[str, Any]  # JSON values and arrays


class ScoreSettings(Section):
    """A kind's own keys of an entry of `scores`."""


class Scorer(ABC):
    """One column of scores.

    Attributes:
        needs: what of the faces it reads.
        is_cosine: whether it is a cosine of feature vectors, whose thresholds step through squared distances.
        in_headline: whether it belongs into the figures of whole faces.
        weights_digest: of the only state of needs.network that it is right for (checkpoints.weights_digest); empty where any will
            do.
    """

    needs: Needs
    is_cosine = False
    in_headline = True
    weights_digest = ""

    @abstractmethod
    def score(self, a: Faces, b: Faces) -> Floats:
        """How alike the faces of each pair are, float32 (N,); higher is more alike.

        Args:
            a, b: N faces each, with what `needs` says.

        Raises:
            DataError: a feature has no direction or another shape.
        """

    @abstractmethod
    def state(self) -> State:
        """What the kind's `restore` makes an equal scorer of.

        Raises:
            DataError: it cannot score photographs.
        """

    @property
    def mean(self) -> Floats | None:
        """Of a cosine of photographs' embeddings from which a mean is taken off, that mean, float32 (D,); else None."""
        return None

    def parts(self, a: Faces, b: Faces) -> npt.NDArray[np.float64] | None:
        """Of a sum over needs.positions, what each adds to the score of each pair, float64 (N, K); else None."""
        return None

    def score_rows(self, a: Faces, b: Faces, pairs: pa.Table) -> Floats:
        """As `score`, in a table: `pairs` (schemas.pairs.PAIRS) has the N pairs' protocols and folds."""
        return self.score(a, b)
