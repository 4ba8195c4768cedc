"""How sure an accuracy is: other participants might have come, and other pairs been shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.bootstrap import interval

Z_95 = 1.959964  # the 0.975 quantile of the standard normal
NUM_RESAMPLES = 5000

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Bounds = tuple[float, float]


@dataclass(frozen=True)
class Answered:
    """The answers under one method: bool (participants, pairs), which were given and which of them are right."""

    given: Bools
    right: Bools

    @property
    def num(self) -> int:
        """How many were given."""
        return int(self.given.sum())

    @property
    def accuracy(self) -> float:
        """The share of right ones."""
        return float(self.right.sum() / self.num)


class CrossedBootstrap:
    """Resamples of the participants and, apart from that, of the pairs, on which every method is measured.

    A resample draws as many participants and as many pairs as there are, with replacement; an answer of participant u to pair p
    counts m_u m_p times. Both are drawn because answers of one participant, and answers to one pair, have something in common
    (Owen 2007, The pigeonhole bootstrap). All methods see the same resamples, so a participant's ability leaves their
    differences. A resample without an answer to some method is drawn anew.

    Attributes:
        accuracies: per method, float64 (B,).
    """

    def __init__(self, methods: Mapping[str, Answered], num_resamples: int, rng: np.random.Generator) -> None:
        """Draw `num_resamples` (B) resamples; each method has at least one answer."""
        num_people, num_pairs = next(iter(methods.values())).given.shape
        drawn: dict[str, list[Doubles]] = {name: [] for name in methods}
        num_left = num_resamples
        while num_left:
            people, pairs = _times(num_left, num_people, rng), _times(num_left, num_pairs, rng)
            given = {name: _counted(people, answered.given, pairs) for name, answered in methods.items()}
            usable = np.all([counts > 0 for counts in given.values()], axis=0)
            for name, answered in methods.items():
                right = _counted(people, answered.given & answered.right, pairs)
                drawn[name].append(right[usable] / given[name][usable])
            num_left -= int(usable.sum())
        self.accuracies = {name: np.concatenate(parts) for name, parts in drawn.items()}

    def accuracy(self, method: str) -> Bounds:
        """The 95 % interval of a method's accuracy."""
        return interval(self.accuracies[method])

    def difference(self, first: str, second: str) -> Bounds:
        """That of the accuracy by `first` less that by `second`."""
        return interval(self.accuracies[first] - self.accuracies[second])


def wilson(num_right: int, num: int) -> Bounds:
    """The 95 % score interval of a share (Wilson 1927), for a single participant, whose answers are taken as independent.

    (p + z²/2n ± z sqrt(p (1 - p) / n + z²/4n²)) / (1 + z²/n)
    """
    share, spread = num_right / num, Z_95**2 / num
    middle, half = share + spread / 2, Z_95 * sqrt(share * (1 - share) / num + spread / (4 * num))
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


def newcombe(first: Sequence[int], second: Sequence[int]) -> Bounds:
    """The 95 % interval of a difference of two shares, each (right, of how many), from Wilson's l, u of each (Newcombe 1998).

    d - sqrt((p1 - l1)² + (u2 - p2)²), d + sqrt((u1 - p1)² + (p2 - l2)²)
    """
    p1, p2 = first[0] / first[1], second[0] / second[1]
    (l1, u1), (l2, u2) = wilson(*first), wilson(*second)
    return p1 - p2 - sqrt((p1 - l1) ** 2 + (u2 - p2) ** 2), p1 - p2 + sqrt((u1 - p1) ** 2 + (p2 - l2) ** 2)


def _times(num_resamples: int, num: int, rng: np.random.Generator) -> Doubles:
    """How often each of `num` was drawn, (num_resamples, num)."""
    drawn = rng.integers(num, size=(num_resamples, num)) + num * np.arange(num_resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=num_resamples * num).reshape(num_resamples, num).astype(np.float64)


def _counted(people: Doubles, flags: Bools, pairs: Doubles) -> Doubles:
    """Sum of m_u m_p over the flagged answers, (B,)."""
    counted: Doubles = ((people @ flags.astype(np.float64)) * pairs).sum(axis=1)
    return counted
