"""How sure a mean over pairs is: the same mean on resamples of the pairs' identities."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError

Doubles = npt.NDArray[np.float64]

PERCENTILES = (2.5, 97.5)
NUM_RESAMPLES = 1000  # where no section of params says how many


class Estimate(NamedTuple):
    """A mean over pairs, and its 95 % interval; None where the pairs have fewer than two identities."""

    value: float
    low: float | None
    high: float | None


class IdentityBootstrap:
    """Some pairs, and resamples of their identities on which every mean is taken.

    A resample draws as many identities as there are, with replacement; m_a counts how often a came. A genuine pair of a then
    counts m_a times, an impostor pair of a and b m_a·m_b times, as in matching.verification.paired_bootstrap, which says why
    identities are drawn and not pairs. All means, and so all differences of two methods, see the same resamples. A resample
    in which no pair counts has no mean and is left out.

    Args:
        people: (N, 2), a number or a name for each pair's identities, N >= 1.
        num_samples: B.
        rng: equal states give equal resamples.

    Attributes:
        num_identities: how many different ones the pairs hold.

    Raises:
        DataError: there are no pairs, or `people` has another shape.
    """

    def __init__(self, people: npt.NDArray[Any], num_samples: int, rng: np.random.Generator) -> None:
        if people.ndim != 2 or people.shape[1] != 2 or not len(people):
            raise DataError("A mean over pairs needs their identities.", got=people.shape, allowed="(N, 2), N >= 1")
        names, found = np.unique(people, return_inverse=True)
        a, b = found.reshape(people.shape).T
        num = self.num_identities = len(names)
        drawn = rng.integers(num, size=(num_samples, num)) + num * np.arange(num_samples)[:, None]
        counted = np.bincount(drawn.ravel(), minlength=num_samples * num).reshape(num_samples, num)
        times = np.concatenate([np.ones((1, num), np.int64), counted])
        weights = np.where(a == b, times[:, a], times[:, a] * times[:, b]).astype(np.float64)
        self._weights = weights[weights.any(axis=1)]

    def means(self, values: npt.ArrayLike) -> Doubles:
        """The mean of values (N, ...) over the pairs as they are, then on each resample: float64 (1 + at most B, ...).

        Raises:
            DataError: there is not one value a pair, or one is not finite.
        """
        given = np.asarray(values, np.float64)
        if len(given) != self._weights.shape[1] or not np.isfinite(given).all():
            raise DataError("A mean needs one finite value a pair.", got=given.shape, allowed=self._weights.shape[1])
        shares = self._weights / self._weights.sum(axis=1, keepdims=True)
        return np.asarray(np.tensordot(shares, given, axes=1))

    def estimate(self, values: npt.ArrayLike) -> Estimate:
        """The mean of values (N,) and its interval; raises as means."""
        found = self.means(values)
        low, high = (None, None) if self.num_identities < 2 or len(found) < 2 else interval(found[1:])
        return Estimate(float(found[0]), low, high)

    def band(self, values: npt.ArrayLike) -> tuple[Doubles, Doubles, Doubles]:
        """The mean of curves (N, S) and the ends of its interval at each point, (S,) each; NaN where estimate has None."""
        found = self.means(values)
        unknown = self.num_identities < 2 or len(found) < 2
        low, high = np.full((2, found.shape[1]), np.nan) if unknown else np.percentile(found[1:], PERCENTILES, axis=0)
        return found[0], low, high


def interval(draws: Doubles) -> tuple[float, float]:
    """The 2.5th and 97.5th percentiles of a figure's (or difference's) values on the resamples, (B,): a 95 % interval."""
    low, high = np.percentile(draws, PERCENTILES)
    return float(low), float(high)
