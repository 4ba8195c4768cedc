"""What DAM's figures are drawn from: sweeps, two people, a training image's own class, the fall of cosines with anchors."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.bootstrap import PERCENTILES
from pipeline_lib.core.cosine import Floats, unit
from pipeline_lib.core.roc import Doubles
from pipeline_lib.delivery.claims.evidence import Evidence
from pipeline_lib.delivery.report.dam_tables import figures_or_none, tar
from pipeline_lib.delivery.report.drawing import Band
from pipeline_lib.matching.dam.dam import log_dam, log_lid, nearest_cosines

MIN_IMAGES = 8  # of a person whose densities are drawn
MIN_IMPOSTORS = 10
MAX_OTHERS = 2000  # impostors of the two people
NUM_BINS = 40
SEGMENTS = ((0.2, 0.4), (0.6, 0.8))  # between these quantiles of the probability
Varied = Literal["k", "s", "a"]


def sweep_curves(evidence: Evidence, entry: str, cosine: str, varied: Varied) -> dict[str, Band]:
    """TAR of each value of a sweep less the cosine's, in points, with the paired 95 % interval, by protocol.

    Each protocol is told at the lowest FAR that lets ten of its impostors through, which stands in its key: where one or two
    decide, intervals are so wide that no curve can be seen in them. Where none does, it is the highest that is told.

    Args:
        entry: of kind dam_sweep.
        cosine: the column of the same network.
        varied: k, s, or a for the number of anchors.
    """
    start = f"{entry}:{varied}="
    columns = sorted(
        ((float(name.removeprefix(start)), name) for name in evidence.kinds if name.startswith(start)),
    )
    curves: dict[str, Band] = {}
    for protocol in evidence.protocols if len(columns) > 1 else ():
        told = [rate for rate in evidence.rates if figures_or_none(evidence, protocol, cosine, tar(rate)) is not None]
        if told:
            num_impostor = evidence.pairs(protocol).num_impostor
            rate = min((each for each in told if each * num_impostor >= MIN_IMPOSTORS), default=max(told))
            measure = tar(rate)
            base = evidence.figures(protocol, cosine, measure)
            gains = np.stack([evidence.figures(protocol, name, measure) - base for _, name in columns])
            low, high = np.percentile(gains[:, 1:], PERCENTILES, axis=1)
            at = np.array([value for value, _ in columns])
            curves[f"{protocol}, FAR {rate:g}"] = (at, 100 * gains[:, 0], 100 * low, 100 * high)
    return curves


@dataclass(frozen=True)
class Person:
    """The scores of all pairs of one person's images, and of their pairs with other people's: by cosine and by DAM-R."""

    genuine: tuple[Doubles, Doubles]
    impostor: tuple[Doubles, Doubles]


def two_people(
    vectors: npt.ArrayLike, owners: npt.NDArray[np.int64], anchors: npt.ArrayLike, num_neighbours: int, scale: float
) -> tuple[Person, Person] | None:
    """The two people of Fig. 1: margins alike, levels apart.

    Of the people with at least 8 images whose margin (mean cosine of their own pairs less that with others) lies in the
    middle half, the one whose own pairs have the highest mean cosine, and the one with the lowest. None where fewer than two
    remain.

    Args:
        vectors: (N, D) of a split's images; owners: a number for each one's person.
        anchors: (A, D). num_neighbours, scale: k and s of G.
    """
    directions = unit(vectors)
    people, counts = np.unique(owners, return_counts=True)
    others = np.sort(np.random.default_rng(0).permutation(len(owners))[:MAX_OTHERS])
    candidates = people[counts >= MIN_IMAGES].tolist()
    levels = np.array([_means(directions, owners, others, person) for person in candidates]).reshape(-1, 2)
    margins = levels[:, 0] - levels[:, 1]
    if len(candidates) < 2:
        return None
    low, high = np.percentile(margins, [25, 75])
    middle = np.flatnonzero((margins >= low) & (margins <= high))
    if len(middle) < 2:
        return None
    chosen = [candidates[middle[pick(levels[middle, 0])]] for pick in (np.argmax, np.argmin)]
    first, second = (_person(directions, owners, others, each, anchors, num_neighbours, scale) for each in chosen)
    return first, second


def distance(first: Doubles, second: Doubles) -> float:
    """Of two samples' means, in their pooled standard deviation."""
    spread = float(np.sqrt((first.var() + second.var()) / 2))
    return abs(float(first.mean() - second.mean())) / spread if spread else 0.0


def overlap(first: Doubles, second: Doubles) -> float:
    """Overlap coefficient of two samples, the sum over 40 equal bins of the smaller of the two shares, in [0, 1]."""
    edges = np.histogram_bin_edges(np.concatenate([first, second]), NUM_BINS)
    shares = [np.histogram(each, edges)[0] / len(each) for each in (first, second)]
    return float(np.minimum(*shares).sum())


@dataclass(frozen=True)
class OwnClass:
    """Training images and their own class, N each: cosine with its weight, softmax probability, and s cos - log G."""

    cosines: Doubles
    probabilities: Doubles
    normalised: Doubles

    def segments(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """The images of the two disjoint segments of the probability, SEGMENTS, bool (N,) each."""
        ends = np.quantile(self.probabilities, [end for segment in SEGMENTS for end in segment])
        low, high = ((self.probabilities >= a) & (self.probabilities < b) for a, b in (ends[:2], ends[2:]))
        return low, high


def falling_cosines(ranks: npt.NDArray[np.int32], cosines: npt.NDArray[np.float32]) -> dict[str, Doubles]:
    """Median, and 5th and 95th percentile over the images, of the cosine at each rank; keys rank, median, low, high.

    Args:
        ranks, cosines: (images x ranks,), in any order.
    """
    order = np.argsort(ranks, kind="stable")
    found, starts = np.unique(ranks[order], return_index=True)
    parts = np.split(cosines[order].astype(np.float64), starts[1:])
    low, median, high = np.array([np.percentile(part, [5, 50, 95]) for part in parts]).T
    return {"rank": found.astype(np.float64), "median": median, "low": low, "high": high}


def _means(
    directions: Floats, owners: npt.NDArray[np.int64], others: npt.NDArray[np.int64], person: int
) -> list[float]:
    """The mean cosine of a person's own pairs, and of those with others."""
    own = np.flatnonzero(owners == person)
    strangers = others[owners[others] != person]
    inner = directions[own] @ directions[own].T
    return [
        float(inner[np.triu_indices(len(own), 1)].mean()),
        float((directions[own] @ directions[strangers].T).mean()),
    ]


def _person(
    directions: Floats,
    owners: npt.NDArray[np.int64],
    others: npt.NDArray[np.int64],
    person: int,
    anchors: npt.ArrayLike,
    num_neighbours: int,
    scale: float,
) -> Person:
    own, strangers = np.flatnonzero(owners == person), others[owners[others] != person]
    lids = [log_lid(nearest_cosines(directions[rows], anchors, num_neighbours), scale) for rows in (own, strangers)]
    rows, columns = np.triu_indices(len(own), 1)
    inner = (directions[own] @ directions[own].T)[rows, columns].astype(np.float64)
    outer = (directions[own] @ directions[strangers].T).astype(np.float64)
    return Person(
        (inner, log_dam(inner, lids[0][rows], lids[0][columns], scale)),
        (outer.ravel(), log_dam(outer, lids[0][:, None], lids[1][None, :], scale).ravel()),
    )
