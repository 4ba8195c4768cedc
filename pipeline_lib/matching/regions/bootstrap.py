"""How sure the region weights are: the regression on resamples of the identities."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.regions.logistic import fit_logistic
from pipeline_lib.matching.regions.weights import Bools, Doubles, RegionWeights, Rows

PERCENTILES = (2.5, 97.5)
MAX_REDRAWN_SHARE = 0.1


@dataclass(frozen=True)
class Uncertainty:
    """The spread of K refitted weights.

    Attributes:
        standard_errors: float64 (K,), the standard deviation (division by B - 1) over the resamples.
        intervals: float64 (K, 2), their 2.5th and 97.5th percentiles: 95 % intervals.
        num_samples: B, the resamples fitted.
        num_redrawn: resamples that held one class only and were drawn anew.
    """

    standard_errors: Doubles
    intervals: Doubles
    num_samples: int
    num_redrawn: int


def bootstrap_weights(
    found: RegionWeights,
    cosines: npt.ArrayLike,
    genuine: Bools,
    people: Rows,
    num_samples: int,
    rng: np.random.Generator,
) -> Uncertainty:
    """Refit the weights, at the strength that was chosen, to B resamples of the identities.

    A resample draws as many identities as there are, with replacement; m_a counts how often a came. What it would hold
    as a data set of its own is kept by counting pairs:

        a genuine pair of a          m_a times        each copy of a brings its own pairs of photographs
        an impostor pair of a and b  m_a·m_b times    each copy of a meets each copy of b

    Two copies of one identity meet in no impostor pair, for they are one person. Identities are drawn, not pairs,
    because the pairs of a person share that person's face: a hundred of them say less than a hundred of a hundred
    people, and resampled pairs would pass for the latter.

    Where impostor pairs of one identity have nothing but chance in common, their share of the variance comes out up to
    three times too large (the variance of m_a·m_b; Owen 2007, The pigeonhole bootstrap): intervals are then too wide.
    They are for the weights under this penalty, whose shrinkage they do not show.

    A resample of one class has no regression and is drawn anew, so the spread is that of resamples with both classes;
    beyond a tenth of them this would be another distribution, and is refused.

    Args:
        found: the fit to all pairs.
        cosines: (N, K), in the order of found.positions.
        genuine: bool (N,).
        people: int64 (N, 2), a number for each pair's identities; the two are equal where genuine.
        num_samples: B >= 2.
        rng: equal states give equal results.

    Raises:
        DataError: shapes differ, a cosine is NaN or infinite, `people` contradicts `genuine`, or too many resamples
            hold one class only.
    """
    values = np.asarray(cosines, np.float64)
    _check(values, genuine, people, len(found.positions), num_samples)
    names, numbers = np.unique(people, return_inverse=True)
    numbers = numbers.reshape(people.shape)
    samples: list[Doubles] = []
    num_redrawn = 0
    while len(samples) < num_samples:
        times = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        counts = times[numbers[:, 0]] * np.where(genuine, 1, times[numbers[:, 1]])
        kept = counts > 0
        if genuine[kept].any() and not genuine[kept].all():
            own = counts[kept].astype(float)
            samples.append(fit_logistic(values[kept], genuine[kept], found.strength, own, found.non_negative)[0])
            continue
        num_redrawn += 1
        if num_redrawn > MAX_REDRAWN_SHARE * num_samples:
            got = f"{num_redrawn} of {num_redrawn + len(samples)} resamples of {len(names)} identities"
            problem = "Resamples of the identities hold a single class; there are too few identities."
            allowed = f"at most {MAX_REDRAWN_SHARE:.0%} of num_bootstrap ({num_samples})"
            raise DataError(problem, got=got, allowed=allowed, where="regions.weights")
    drawn = np.stack(samples)
    return Uncertainty(drawn.std(axis=0, ddof=1), np.percentile(drawn, PERCENTILES, axis=0).T, num_samples, num_redrawn)


def _check(cosines: Doubles, genuine: Bools, people: Rows, num_positions: int, num_samples: int) -> None:
    num = len(genuine)
    if cosines.shape != (num, num_positions) or people.shape != (num, 2) or num_samples < 2:
        got = f"cosines {cosines.shape}, {num} flags, people {people.shape}, {num_samples} resamples"
        allowed = f"cosines (N, {num_positions}), people (N, 2), at least 2 resamples"
        raise DataError("Regions, pairs and identities do not belong together.", got=got, allowed=allowed)
    if not np.isfinite(cosines).all():
        rows = np.flatnonzero(~np.isfinite(cosines).all(axis=1))[:5].tolist()
        raise DataError("A region's cosine is NaN or infinite.", got=f"pairs {rows}", allowed="finite values")
    wrong = np.flatnonzero((people[:, 0] == people[:, 1]) != genuine)[:5].tolist()
    if wrong:
        raise DataError("Pairs are genuine where, and only where, their identity is one.", got=f"pairs {wrong}")
