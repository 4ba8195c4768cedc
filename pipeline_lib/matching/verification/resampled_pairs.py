"""A protocol's pairs on resamples of their people, and the ends of the intervals that its figures have on these."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.bootstrap import PERCENTILES
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.roc import Bools, Doubles
from pipeline_lib.matching.verification.paired_bootstrap import PairBootstrap

MIN_IDENTITIES = 10  # percentiles over fewer people are narrower than 95 % by far
MAX_WEIGHTS_AT_ONCE = 1_000_000  # float64 values of a block of resamples: 8 MB, what a core's cache still helps with


class NoIntervals(DataError):
    """The pairs' people do not allow intervals."""


class ResampledPairs:
    """N pairs and B resamples of their people: see PairBootstrap, whose draws these are.

    Args:
        people: (N, 2), a name for each pair's people.
        genuine: bool (N,).
        num_samples: B >= 2.
        rng: equal states give equal resamples.

    Raises:
        NoIntervals: fewer than ten people; or a pair is called genuine whose people have two names, or impostor with one; or a
            tenth of the resamples holds one class only.
    """

    def __init__(self, people: npt.NDArray[Any], genuine: Bools, num_samples: int, rng: np.random.Generator) -> None:
        names, numbers = np.unique(people, return_inverse=True)
        if len(names) < MIN_IDENTITIES:
            raise NoIntervals("Intervals need more people.", got=f"{len(names)} people", allowed=f">= {MIN_IDENTITIES}")
        self._people, self._genuine = numbers.reshape(people.shape), genuine
        self.num_identities = len(names)
        try:
            self._times = PairBootstrap(self._people, genuine, num_samples, rng).times[1:].T.astype(np.float64)
        except DataError as error:
            raise NoIntervals(f"{error}") from error

    def blocks(self) -> Iterator[Doubles]:
        """How often each pair counts on some of the resamples: float64 (N, R), all of them in turn."""
        a, b = self._people.T
        size = max(1, MAX_WEIGHTS_AT_ONCE // len(a))
        for start in range(0, self._times.shape[1], size):
            times = np.ascontiguousarray(self._times[:, start : start + size])
            yield np.where(self._genuine[:, None], times[a], times[a] * times[b])


def interval_ends(names: Sequence[str], drawn: Doubles) -> dict[str, float]:
    """{"<figure>_low": , "<figure>_high": } of figures (F, B) on the resamples: their 2.5th and 97.5th percentiles."""
    low, high = np.percentile(drawn, PERCENTILES, axis=1)
    ends = {f"{name}_low": value for name, value in zip(names, low.tolist(), strict=True)}
    return ends | {f"{name}_high": value for name, value in zip(names, high.tolist(), strict=True)}
