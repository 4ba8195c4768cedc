"""DAM: the cosine set against how crowded the two embeddings' neighbourhoods are (papers/dam.md)."""

from abc import abstractmethod
from typing import Literal

import numpy as np

from pipeline_lib.core.cosine import Floats, cosine
from pipeline_lib.matching.dam.dam import Doubles, log_dam, log_lid, nearest_cosines
from pipeline_lib.matching.dam.lid import LID_FOLDER, LidRegressor, read_lid
from pipeline_lib.matching.scores.shared.faces import Faces, Needs, given
from pipeline_lib.matching.scores.shared.reads import Reads
from pipeline_lib.matching.scores.shared.scorer import Scorer, ScoreSettings, State
from pipeline_lib.matching.scores.shared.strangers import strangers

Form = Literal["sum", "product"]


class Settings(ScoreSettings):
    """`form`: DAM as exp(s·cos)·(1/G_a + 1/G_b) (eq. 3), or exp(s·cos)/(G_a·G_b) (section 4.6). s and k are the anchors'."""

    form: Form = "sum"


class Dam(Scorer):
    """log DAM of a network's embeddings; where G comes from is the subclasses' part.

    Args:
        network: whose embeddings are compared.
        scale: s.
        form: see Settings.
        weights_digest: see Scorer; empty in models that were registered before it was kept.
    """

    def __init__(self, network: str, scale: float, form: Form, weights_digest: str = "") -> None:
        self.needs, self.scale, self.form, self.weights_digest = Needs(network=network), scale, form, weights_digest

    @abstractmethod
    def log_lid(self, vectors: Floats) -> Doubles:
        """log G, float64 (N,), of embeddings (N, D)."""

    def score(self, a: Faces, b: Faces) -> Floats:
        """See Scorer."""
        first, second = given(a.vectors), given(b.vectors)
        lids = self.log_lid(first), self.log_lid(second)
        is_product = self.form == "product"
        return np.asarray(log_dam(cosine(first, second), *lids, self.scale, product=is_product), np.float32)

    def state(self) -> State:
        """See Scorer."""
        of_dam = {"network": self.needs.network, "scale": self.scale, "form": self.form}
        return of_dam | {"weights_digest": self.weights_digest}


class DamR(Dam):
    """G from the k nearest anchors (real-db, section 3.2).

    Args:
        network, scale, form, weights_digest: see Dam.
        anchors: float32 (A, D), unit vectors.
        num_neighbours: k.
    """

    def __init__(
        self, network: str, scale: float, form: Form, anchors: Floats, num_neighbours: int, weights_digest: str = ""
    ) -> None:
        super().__init__(network, scale, form, weights_digest)
        self.anchors, self.num_neighbours = anchors, num_neighbours

    def log_lid(self, vectors: Floats) -> Doubles:
        """See Dam."""
        return log_lid(nearest_cosines(vectors, self.anchors, self.num_neighbours), self.scale)

    def state(self) -> State:
        """See Scorer."""
        return {**super().state(), "anchors": self.anchors, "num_neighbours": self.num_neighbours}


class DamL(Dam):
    """G from the regressor (eq. 7).

    Args:
        network, form, weights_digest: see Dam.
        regressor: of the G of this network's embeddings; it has s.
    """

    def __init__(self, network: str, form: Form, regressor: LidRegressor, weights_digest: str = "") -> None:
        super().__init__(network, regressor.scale, form, weights_digest)
        self.regressor = regressor

    def log_lid(self, vectors: Floats) -> Doubles:
        """See Dam."""
        return self.regressor.log_lid(vectors)

    def state(self) -> State:
        """See Scorer."""
        return {**super().state(), **self.regressor.state()}


def open_columns(settings: Settings, reads: Reads) -> dict[str, Scorer]:
    """Two columns, r and l.

    Raises:
        DataError: see strangers.
        CheckpointError: the regressor is missing, or of another s or k.
    """
    anchors = strangers(reads)
    regressor = read_lid(reads.with_ / LID_FOLDER, anchors.scale, anchors.num_neighbours)
    network, form, digest = anchors.network, settings.form, anchors.weights_digest
    return {
        "r": DamR(network, anchors.scale, form, anchors.vectors, anchors.num_neighbours, digest),
        "l": DamL(network, form, regressor, digest),
    }


def restore(state: State) -> Scorer:
    """See Scorer.state."""
    if "anchors" in state:
        return DamR(**state)
    return DamL(state["network"], state["form"], LidRegressor.of_state(state), state.get("weights_digest", ""))
