"""DAM-R with another k, another s, or fewer anchors than its anchors' own (DAM, Fig. 4): columns for a sweep, none a headline."""

import logging
from collections.abc import Sequence

import numpy as np

from pipeline_lib.core.cosine import Floats, cosine
from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.dam.dam import Doubles, log_dam, log_lid, nearest_cosines
from pipeline_lib.matching.scores.shared.faces import Faces, Needs, given
from pipeline_lib.matching.scores.shared.reads import Reads
from pipeline_lib.matching.scores.shared.scorer import Scorer, ScoreSettings, State
from pipeline_lib.matching.scores.shared.strangers import strangers
from pipeline_lib.params.section import AboveZero, NonNegative, Positive

log = logging.getLogger("face_verifier")


class Settings(ScoreSettings):
    """What is varied, one at a time around the anchors' own k, s and all of them.

    `num_neighbours`: k. `scales`: s. `num_anchors`: of a drawn order of the anchors so many, so that the smaller sets lie in the
    larger ones; `seed` draws it. A k, or a number of anchors, that the anchors do not allow is left out: how many there are is
    known when they are built.
    """

    num_neighbours: tuple[Positive, ...] = (1, 2, 5, 10, 20, 50)
    scales: tuple[AboveZero, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)
    num_anchors: tuple[Positive, ...] = ()
    seed: NonNegative = 0


class Neighbours:
    """The nearest anchors of a block of faces, among all of the anchors and among the first ones of an order; searched once.

    The anchors between two sizes are searched by themselves, and the sets that hold them merge what was found: each anchor
    is met once, however many sets there are. Both sides of the last block are kept, for each column asks for them anew.

    Args:
        anchors: float32 (A, D), unit vectors, in the order.
        sizes: of the sets; A is always one.
        num_neighbours: the most that are asked for; a smaller set gives what it has.
    """

    def __init__(self, anchors: Floats, sizes: Sequence[int], num_neighbours: int) -> None:
        self._anchors, self._num_neighbours = anchors, num_neighbours
        self._sizes = sorted({*sizes, len(anchors)})
        self._kept: list[tuple[Floats, dict[int, Floats]]] = []

    def cosines(self, vectors: Floats, num_anchors: int) -> Floats:
        """Cosines with the nearest of the first `num_anchors` anchors, float32 (N, <= num_neighbours), descending.

        Raises:
            DataError: see nearest_cosines.
        """
        for known, found in self._kept:
            if np.array_equal(known, vectors):
                return found[num_anchors]
        found = self._searched(vectors)
        self._kept = [*self._kept[-1:], (vectors, found)]
        return found[num_anchors]

    def _searched(self, vectors: Floats) -> dict[int, Floats]:
        merged, found, start = np.empty((len(vectors), 0), np.float32), {}, 0
        for end in self._sizes:
            part = nearest_cosines(vectors, self._anchors[start:end], min(self._num_neighbours, end - start))
            merged = -np.sort(-np.concatenate([merged, part], axis=1), axis=1)[:, : self._num_neighbours]
            found[end], start = merged, end
        return found


class SweptDamR(Scorer):
    """log DAM (eq. 3) with G from the k nearest of some anchors; the entry's columns share one search.

    Args:
        network: whose embeddings are compared.
        scale, num_neighbours: s and k.
        neighbours: of the entry.
        num_anchors: how many of its anchors count, the first ones.
    """

    in_headline = False

    def __init__(
        self, network: str, scale: float, num_neighbours: int, neighbours: Neighbours, num_anchors: int
    ) -> None:
        self.needs, self.scale, self.num_neighbours = Needs(network=network), scale, num_neighbours
        self._neighbours, self._num_anchors = neighbours, num_anchors

    def score(self, a: Faces, b: Faces) -> Floats:
        """See Scorer."""
        first, second = given(a.vectors), given(b.vectors)
        lids = self._log_lid(first), self._log_lid(second)
        return np.asarray(log_dam(cosine(first, second), *lids, self.scale), np.float32)

    def state(self) -> State:
        """None: a model of these values is one of kind dam, whose anchors have them."""
        raise DataError("A column of a sweep is no model.", got="kind dam_sweep", allowed="kind dam")

    def _log_lid(self, vectors: Floats) -> Doubles:
        return log_lid(self._neighbours.cosines(vectors, self._num_anchors)[:, : self.num_neighbours], self.scale)


def open_columns(settings: Settings, reads: Reads) -> dict[str, Scorer]:
    """A column a value: k=5, s=2, a=1000.

    Raises:
        DataError: the anchors allow none of the values, or see strangers.
    """
    anchors = strangers(reads)
    num, own_k = len(anchors.vectors), anchors.num_neighbours
    wanted = [(f"k={k}", (k, anchors.scale, num)) for k in settings.num_neighbours]
    wanted += [(f"s={scale:g}", (own_k, scale, num)) for scale in settings.scales]
    wanted += [(f"a={size}", (own_k, anchors.scale, size)) for size in settings.num_anchors]
    chosen = {name: values for name, values in wanted if values[0] <= values[2] <= num}
    if left_out := [name for name, _ in wanted if name not in chosen]:
        log.warning("%d anchors do not allow %s of a sweep of DAM: left out.", num, ", ".join(left_out))
    if not chosen:
        raise DataError("The anchors allow no value of a sweep.", got=f"{num} anchors", allowed=settings.model_dump())
    order = np.random.default_rng(settings.seed).permutation(num)
    drawn = anchors.vectors[order]
    sizes, most = [size for _, _, size in chosen.values()], max(k for k, _, _ in chosen.values())
    neighbours = Neighbours(drawn, sizes, most)
    return {name: SweptDamR(anchors.network, scale, k, neighbours, size) for name, (k, scale, size) in chosen.items()}
