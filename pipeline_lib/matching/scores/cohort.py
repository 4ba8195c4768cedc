"""Cohort normalisation, which DAM is compared with: a cosine in terms of those that strangers have with the same face."""

from typing import Literal

import numpy as np

from pipeline_lib.core.cosine import Floats, cosine
from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.dam.dam import Doubles, nearest_cosines
from pipeline_lib.matching.scores.shared.faces import Faces, Needs, given
from pipeline_lib.matching.scores.shared.reads import Reads
from pipeline_lib.matching.scores.shared.scorer import Scorer, ScoreSettings, State
from pipeline_lib.matching.scores.shared.strangers import strangers
from pipeline_lib.params.section import Positive

Form = Literal["z", "t", "s"]


class Settings(ScoreSettings):
    """`top_k`: how many of the anchors, those nearest to a face, are its cohort; at least 2."""

    top_k: Positive = 100


class Cohort(Scorer):
    """With μ_f and σ_f the mean and standard deviation of the cosines of f and its top_k nearest anchors,

        z = (cos - μ_a) / σ_a,   t = (cos - μ_b) / σ_b,   s = (z + t) / 2

    a is image A, the enrolled one in a verification, b image B; s is symmetric. A cohort of the nearest strangers adapts to the
    face (Matějka et al., Interspeech 2017).

    Args:
        network: whose embeddings are compared.
        anchors: float32 (A, D), unit vectors of strangers.
        top_k: 2 <= top_k <= A.
        form: z, t or s.
        weights_digest: see Scorer; empty in models that were registered before it was kept.
    """

    def __init__(self, network: str, anchors: Floats, top_k: int, form: Form, weights_digest: str = "") -> None:
        if not 2 <= top_k <= len(anchors):
            got = f"top_k {top_k} of {len(anchors)} anchors"
            raise DataError(
                "A cohort has too few faces for a standard deviation.", got=got, allowed=f"2 to {len(anchors)}"
            )
        self.needs, self.anchors, self.top_k, self.form = Needs(network=network), anchors, top_k, form
        self.weights_digest = weights_digest

    def score(self, a: Faces, b: Faces) -> Floats:
        """See Scorer; raises DataError where a face has one cosine with all of its cohort."""
        first, second = given(a.vectors), given(b.vectors)
        cosines = cosine(first, second).astype(np.float64)
        sides = [side for side, used in ((first, self.form != "t"), (second, self.form != "z")) if used]
        return np.asarray(np.mean([self._normalised(cosines, side) for side in sides], axis=0), np.float32)

    def state(self) -> State:
        """See Scorer."""
        of_cohort = {"network": self.needs.network, "anchors": self.anchors, "top_k": self.top_k, "form": self.form}
        return of_cohort | {"weights_digest": self.weights_digest}

    def _normalised(self, cosines: Doubles, vectors: Floats) -> Doubles:
        cohort = nearest_cosines(vectors, self.anchors, self.top_k).astype(np.float64)
        spread = cohort.std(axis=1)
        if (spread == 0).any():
            got = f"face {int(np.argmin(spread))}"
            raise DataError(
                "A face is equally near to all of its cohort, so nothing can be said in its terms.", got=got
            )
        return np.asarray((cosines - cohort.mean(axis=1)) / spread)


def open_columns(settings: Settings, reads: Reads) -> dict[str, Scorer]:
    """Three columns, z, t and s.

    Raises:
        DataError: the anchors are too few, or see strangers.
    """
    anchors = strangers(reads)
    forms: tuple[Form, ...] = ("z", "t", "s")
    of_all = anchors.network, anchors.vectors, settings.top_k
    return {form: Cohort(*of_all, form, anchors.weights_digest) for form in forms}


def restore(state: State) -> Scorer:
    """See Scorer.state."""
    return Cohort(**state)
