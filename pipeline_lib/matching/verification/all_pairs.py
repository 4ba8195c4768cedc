"""All n(n - 1)/2 pairs of some faces: what low false accept rates need, for drawn pairs are too few to tell them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.cosine import Floats, unit
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.roc import Doubles
from pipeline_lib.matching.dam.dam import log_dam

SCORES_AT_ONCE = 4_000_000  # of a block, float32; a handful of arrays as large are in memory beside it
NUM_THRESHOLDS = 1000
MAX_CURVE_POINTS = 300

Owners = npt.NDArray[np.int64]
Blocks = Callable[[slice, slice], Floats]  # the scores of some rows with some columns, (R, C)


@dataclass(frozen=True)
class AllPairs:
    """The scores of all pairs, exactly where they are highest, counted elsewhere.

    Attributes:
        genuine: float32 (G,), of all genuine pairs, ascending.
        num_impostor: I.
        highest: float32 (K,), the highest scores of impostor pairs, descending.
        thresholds: float32 (T,), ascending.
        num_accepted: int64 (T,), the impostor pairs with score >= each threshold.
    """

    genuine: Floats
    num_impostor: int
    highest: Floats
    thresholds: Floats
    num_accepted: npt.NDArray[np.int64]

    def tar(self, rate: float) -> float | None:
        """The highest TAR of a threshold with FAR <= `rate`, exact (core.roc.tar_at_far); None where rate < 1/I.

        Raises:
            DataError: the rate is above what the pairs were counted for.
        """
        num_allowed = int(rate * self.num_impostor * (1 + 1e-9))  # 0.01 * 100 must count as 1 whatever its rounding
        if num_allowed < 1:
            return None
        if num_allowed >= len(self.highest):
            got, allowed = rate, f"below {len(self.highest) / self.num_impostor:g}"
            raise DataError("A FAR is above what all pairs were counted for.", got=got, allowed=allowed)
        return float(self._above(self.highest[num_allowed]))

    def curve(self) -> tuple[Doubles, Doubles]:
        """At most 300 operating points, (far, tar), both ascending: spaced evenly by log FAR as far as the highest scores go,
        then at the thresholds; each is exact."""
        steps = np.geomspace(1, max(1, len(self.highest) - 1), MAX_CURVE_POINTS // 2)
        places = np.unique(steps.astype(np.int64)[steps < len(self.highest)])
        cuts = self.highest[places]
        # A threshold just above the score in place m lets through those higher: m, or fewer where several are equal.
        far = np.searchsorted(-self.highest, -cuts, side="left") / self.num_impostor
        tar = np.array([self._above(cut) for cut in cuts])
        later = np.flatnonzero(self.num_accepted >= len(self.highest))[::-1]
        later = later[
            np.unique(np.linspace(0, max(0, len(later) - 1), MAX_CURVE_POINTS // 2).astype(np.int64))[: len(later)]
        ]
        num_below = np.searchsorted(self.genuine, self.thresholds[later], side="left")
        return (
            np.concatenate([far, self.num_accepted[later] / self.num_impostor]),
            np.concatenate([tar, 1 - num_below / len(self.genuine)]),
        )

    def _above(self, score: np.float32) -> float:
        """The share of genuine pairs that score higher."""
        return 1 - float(np.searchsorted(self.genuine, score, side="right")) / len(self.genuine)


def cosine_blocks(vectors: npt.ArrayLike) -> Blocks:
    """Cosines of faces (N, D); raises DataError as cosine.unit."""
    directions = unit(vectors)
    return lambda rows, columns: directions[rows] @ directions[columns].T


def dam_blocks(vectors: npt.ArrayLike, log_lids: Doubles, scale: float, product: bool = False) -> Blocks:
    """log DAM of faces (N, D) with log G, float64 (N,); see dam.log_dam."""
    cosines = cosine_blocks(vectors)

    def scores(rows: slice, columns: slice) -> Floats:
        lids = log_lids[rows, None], log_lids[None, columns]
        return log_dam(cosines(rows, columns), *lids, scale, product).astype(np.float32)

    return scores


def count_all_pairs(blocks: Blocks, owners: Owners, max_rate: float) -> AllPairs:
    """Score every pair of faces once, a block of rows at a time.

    Each block is sorted, so that counts at thresholds are exact; of impostor pairs the I·max_rate highest scores are kept, of
    genuine pairs all. Memory grows with N and with what is kept, not with N².

    Args:
        blocks: the score.
        owners: int64 (N,), a number for each face's person.
        max_rate: the highest FAR that AllPairs.tar is to tell, in (0, 1].

    Raises:
        DataError: there is no genuine or no impostor pair, or a score cannot be computed.
    """
    num_genuine, num_impostor = num_pairs(owners)
    if not num_genuine or not num_impostor:
        got = f"{num_genuine} genuine, {num_impostor} impostor"
        raise DataError("All pairs need two faces of a person, and two people.", got=got)
    num_kept = int(max_rate * num_impostor * (1 + 1e-9)) + 1
    genuine, highest = [], np.empty(0, np.float32)
    thresholds, num_accepted = np.empty(0, np.float32), np.zeros(0, np.int64)
    for same, other in _sorted_blocks(blocks, owners):
        genuine.append(same)
        if not len(thresholds):
            thresholds = _spread(np.sort(np.concatenate([same, other])))
            num_accepted = np.zeros(len(thresholds), np.int64)
        num_accepted += len(other) - np.searchsorted(other, thresholds, side="left")
        tail = other[max(0, len(other) - num_kept) :]
        highest = np.sort(np.concatenate([highest, tail]))[-num_kept:]
    return AllPairs(np.sort(np.concatenate(genuine)), num_impostor, highest[::-1], thresholds, num_accepted)


def num_pairs(owners: Owners) -> tuple[int, int]:
    """How many genuine and how many impostor pairs faces of `owners` have."""
    each = np.unique(owners, return_counts=True)[1]
    num_genuine = int((each * (each - 1) // 2).sum())
    return num_genuine, len(owners) * (len(owners) - 1) // 2 - num_genuine


def tars(found: AllPairs, rates: Iterable[float]) -> dict[str, float]:
    """{"tar@<rate>": TAR} of the rates that the impostors resolve."""
    told = {f"tar@{rate:g}": found.tar(rate) for rate in rates}
    return {name: tar for name, tar in told.items() if tar is not None}


def _sorted_blocks(blocks: Blocks, owners: Owners) -> Iterator[tuple[Floats, Floats]]:
    """Scores of genuine and of impostor pairs, ascending, of some rows with all faces after them."""
    num, first = len(owners), 0
    while first < num - 1:
        last = min(num, first + max(1, SCORES_AT_ONCE // (num - first)))
        scores = blocks(slice(first, last), slice(first, num))
        later = np.arange(first, num) > np.arange(first, last)[:, None]
        same = owners[first:last, None] == owners[first:]
        yield np.sort(scores[later & same]), np.sort(scores[later & ~same])
        first = last


def _spread(scores: Floats) -> Floats:
    """Some of ascending scores, from the lowest to the highest."""
    return scores[np.linspace(0, len(scores) - 1, min(NUM_THRESHOLDS, len(scores))).astype(np.int64)]
