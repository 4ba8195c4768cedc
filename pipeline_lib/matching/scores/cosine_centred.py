"""The cosine of two embeddings after the mean embedding is taken off."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline_lib.core.cosine import Floats, cosine
from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.matching.scores.shared.faces import Faces, Needs, given
from pipeline_lib.matching.scores.shared.networks import OfNetworks, chosen_networks
from pipeline_lib.matching.scores.shared.pairs import faces_of, protocol_rows
from pipeline_lib.matching.scores.shared.reads import Reads
from pipeline_lib.matching.scores.shared.scorer import Scorer, State
from pipeline_lib.matching.scores.shared.stored import StoredFaces

Fold = tuple[str, int]  # protocol, fold
Doubles = npt.NDArray[np.float64]


class Settings(OfNetworks):
    """`networks`, see there."""


class CentredCosine(Scorer):
    """cos(e_a - mean, e_b - mean).

    In a table a pair of fold t is scored with the mean over the distinct faces of all pairs of the protocol's folds ≠ t, so
    a fold's own faces (which are those judged) have no part in it. Each pair has this one score, whichever fold is held
    out when a threshold is fitted: the public evaluation code instead recomputes all pairs with the held-out fold's mean.
    The two differ by what a ninth of the images moves the mean, and one column is what ROC, accuracy and pictures can share.

    Photographs belong to no fold: they are scored with the mean over all faces of the validation pairs.

    Args:
        network: whose embeddings are compared.
        mean: float32 (D,), for photographs; None where there are no validation pairs.
        means: float64 (D,) by protocol and fold, for tables.
    """

    is_cosine = True

    def __init__(self, network: str, mean: Floats | None, means: Mapping[Fold, Doubles] | None = None) -> None:
        self.needs, self._mean, self._means = Needs(network=network), mean, means or {}

    def score(self, a: Faces, b: Faces) -> Floats:
        """See Scorer."""
        return cosine(given(a.vectors) - self.mean, given(b.vectors) - self.mean)

    def score_rows(self, a: Faces, b: Faces, pairs: pa.Table) -> Floats:
        """See Scorer; each pair with the mean of the other folds."""
        folds = zip(pairs["protocol"].to_pylist(), pairs["fold"].to_pylist(), strict=True)
        mean = np.stack([self._means[fold] for fold in folds])
        return cosine(given(a.vectors) - mean, given(b.vectors) - mean)

    def state(self) -> State:
        """See Scorer."""
        return {"network": self.needs.network, "mean": self.mean}

    @property
    def mean(self) -> Floats:
        """See Scorer; raises DataError where there were no validation pairs to take it from."""
        if self._mean is None:
            problem = "Centred cosines of photographs take their mean from validation pairs, and there are none."
            raise DataError(problem, allowed=f"pairs of the protocol {VALIDATION}; raise ingest.val_share")
        return self._mean


def open_columns(settings: Settings, reads: Reads) -> dict[str, Scorer]:
    """A column a network.

    Raises:
        DataError: a network that is named is not embedded, or a protocol has fewer than two folds.
    """
    return {name: _opened(name, reads) for name in chosen_networks(settings, reads)}


def restore(state: State) -> Scorer:
    """See Scorer.state."""
    return CentredCosine(**state)


def _opened(network: str, reads: Reads) -> CentredCosine:
    stored, table = StoredFaces(reads, [Needs(network=network)]), reads.pairs.table

    def mean_of(pairs: pa.Table) -> Doubles:
        vectors = given(stored.block(faces_of(pairs)).faces(Needs(network=network)).vectors)
        return np.asarray(vectors.mean(axis=0, dtype=np.float64))

    mean, means = None, {}
    for protocol, rows in protocol_rows(table):
        folds = table["fold"].to_numpy()[rows]
        if len(np.unique(folds)) < 2:
            problem = "Mean-centring takes the mean from other folds."
            raise DataError(problem, got="one fold", allowed=">= 2", where=f"protocol {protocol}")
        if protocol == VALIDATION:
            mean = mean_of(table.take(rows)).astype(np.float32)
        for fold in np.unique(folds).tolist():
            means[protocol, fold] = mean_of(table.take(rows[folds != fold]))
    return CentredCosine(network, mean, means)
