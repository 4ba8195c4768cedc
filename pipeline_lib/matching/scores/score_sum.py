"""The sum of several networks' cosines, each in terms of what strangers have: a baseline of fusion."""

import numpy as np
import pyarrow.compute as pc

from pipeline_lib.core.cosine import Floats, cosine
from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.matching.scores.shared.faces import Faces, Needs, given
from pipeline_lib.matching.scores.shared.reads import Reads
from pipeline_lib.matching.scores.shared.scorer import Scorer, State
from pipeline_lib.matching.scores.shared.several import OfSeveral, chosen_several
from pipeline_lib.matching.scores.shared.stored import StoredFaces


class Settings(OfSeveral):
    """`networks`, see there."""


class ScoreSum(Scorer):
    """Σ_n (cos_n - μ_n) / σ_n, with μ_n and σ_n the mean and standard deviation of network n's cosines over the impostor pairs
    of the validation identities; no pair that is judged has a part in them.

    Args:
        networks: two or more.
        dims: the length of each one's embedding.
        means, deviations: μ and σ > 0, float32 (n,).
    """

    def __init__(self, networks: tuple[str, ...], dims: tuple[int, ...], means: Floats, deviations: Floats) -> None:
        self.needs = Needs(side_by_side=tuple(networks))
        self.dims, self.means, self.deviations = tuple(dims), means, deviations

    def score(self, a: Faces, b: Faces) -> Floats:
        """See Scorer."""
        found = cosines(given(a.vectors), given(b.vectors), self.dims)
        return np.asarray(((found - self.means) / self.deviations).sum(axis=1), np.float32)

    def state(self) -> State:
        """See Scorer."""
        names, dims = list(self.needs.side_by_side), list(self.dims)
        return {"networks": names, "dims": dims, "means": self.means, "deviations": self.deviations}


def cosines(a: Floats, b: Floats, dims: tuple[int, ...]) -> Floats:
    """Each network's cosines, float32 (N,n), of rows (N, Σ dims) that hold n embeddings side by side."""
    ends = np.cumsum(dims)[:-1]
    sides = zip(np.split(a, ends, axis=1), np.split(b, ends, axis=1), strict=True)
    return np.stack([cosine(own_a, own_b) for own_a, own_b in sides], axis=1)


def open_columns(settings: Settings, reads: Reads) -> dict[str, Scorer]:
    """One column.

    Raises:
        ParamsError, DataError: as chosen_several; DataError: there are no two validation impostor pairs, or they have one
            cosine.
    """
    networks = chosen_several(settings, reads)
    table = reads.pairs.table
    strangers = table.filter(pc.and_(pc.equal(table["protocol"], VALIDATION), pc.invert(table["genuine"])))
    if strangers.num_rows < 2:
        problem = "A sum of scores is standardised by validation pairs of two people, and there are too few."
        allowed = f"2 or more of the protocol {VALIDATION}; raise ingest.val_share"
        raise DataError(problem, got=strangers.num_rows, allowed=allowed)
    stored = StoredFaces(reads, [Needs(side_by_side=networks)])
    sides = [stored.block(strangers[side].to_pylist()) for side in ("image_a", "image_b")]
    a, b = (given(side.faces(Needs(side_by_side=networks)).vectors) for side in sides)
    dims = tuple(stored.vectors[name][0].shape[1] for name in networks)
    found = cosines(a, b, dims)
    means, deviations = (np.asarray(figure, np.float32) for figure in (found.mean(axis=0), found.std(axis=0)))
    if not (deviations > 0).all():
        got = networks[int(np.argmin(deviations))]
        raise DataError("A network has one cosine for all validation pairs of two people.", got=got, allowed="a spread")
    return {"": ScoreSum(networks, dims, means, deviations)}


def restore(state: State) -> Scorer:
    """See Scorer.state."""
    return ScoreSum(**{**state, "networks": tuple(state["networks"]), "dims": tuple(state["dims"])})
