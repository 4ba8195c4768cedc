"""DeepFace-EMD's combined distance of a pair: patch-wise EMD similarity and cosine (thesis, eq. 5.1, Table 5.9)."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from pipeline_lib.core.cosine import Floats, cosine
from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.emd.patches import unit_patches
from pipeline_lib.matching.emd.similarities import emd_similarities
from pipeline_lib.matching.emd.sinkhorn import Sinkhorn
from pipeline_lib.matching.scores.shared.faces import Faces, Needs, given
from pipeline_lib.matching.scores.shared.reads import Reads
from pipeline_lib.matching.scores.shared.scorer import Scorer, ScoreSettings, State
from pipeline_lib.networks.embeddings.store import StoredPatches
from pipeline_lib.params.section import AboveZero, Positive, Share
from pipeline_lib.params.transport import Weights


class Settings(ScoreSettings):
    """`alpha`: share of the EMD similarity; `weights` of the patches; the rest as in emd.sinkhorn.Sinkhorn."""

    alpha: Share = 0.7
    weights: Weights = "uniform"
    regularisation: AboveZero = 0.05
    tolerance: AboveZero = 1e-4
    max_iterations: Positive = 10_000


class Emd(Scorer):
    """alpha · EMD similarity + (1 - alpha) · cosine.

    A pair in which no patch resembles the other face has no weights (apc, cc, sc), hence no EMD similarity. It is an error that
    names the pair, not a cosine in a column of sums; weights uniform have no such case. So is a flow that did not converge.

    Args:
        network: whose embeddings and patches are compared.
        settings: see there.
    """

    def __init__(self, network: str, settings: Settings) -> None:
        self.needs, self.settings = Needs(network=network, with_patches=True), settings

    def score(self, a: Faces, b: Faces) -> Floats:
        """See Scorer."""
        return self._score(a, b, "pair {}".format)

    def score_rows(self, a: Faces, b: Faces, pairs: pa.Table) -> Floats:
        """See Scorer."""
        return self._score(a, b, lambda p: f"{pairs['image_a'][p]}, {pairs['image_b'][p]}")

    def state(self) -> State:
        """See Scorer."""
        return {"network": self.needs.network, "settings": self.settings.model_dump()}

    def _score(self, a: Faces, b: Faces, names: Callable[[int], str]) -> Floats:
        settings, vectors = self.settings, (given(a.vectors), given(b.vectors))
        first = unit_patches(given(a.patches), names, vectors[0])
        second = unit_patches(given(b.patches), names, vectors[1])
        pairs = np.stack([np.arange(len(a), dtype=np.int64)] * 2, axis=1)
        solver = Sinkhorn(settings.regularisation, settings.tolerance, settings.max_iterations)
        similarities, converged = emd_similarities(first, second, pairs, settings.weights, solver, names)
        if not converged.all():
            allowed = f"a marginal error <= {settings.tolerance:g}; more max_iterations, or a larger regularisation"
            raise DataError(
                "The transport of a pair did not converge.", got=names(int(np.argmin(converged))), allowed=allowed
            )
        alpha = np.float32(settings.alpha)
        return np.asarray(alpha * similarities + (1 - alpha) * cosine(*vectors), np.float32)


def open_columns(settings: Settings, reads: Reads) -> dict[str, Scorer]:
    """One column.

    Raises:
        DataError: `of` holds no or several networks, or keeps no patches.
    """
    network = reads.one_network()
    if StoredPatches(reads.networks[network]).grid is None:
        problem = "The embeddings of the pairs' images came without patch features."
        raise DataError(problem, allowed=f"embed.patches: [{network}] in params.yaml", where=reads.of)
    return {"": Emd(network, settings)}


def restore(state: State) -> Scorer:
    """See Scorer.state."""
    return Emd(state["network"], Settings.model_validate(state["settings"]))
