"""How sure a difference between two pair scores is: both on the same resamples of the identities."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.roc import Bools, Doubles
from pipeline_lib.matching.verification.ranked_pairs import RankedPairs

Counts = npt.NDArray[np.int64]

MAX_REDRAWN_SHARE = 0.1
MAX_WEIGHTS_AT_ONCE = 2_000_000  # float64 values of a block of resamples


class TooFewIdentities(DataError):
    """Too many resamples of the identities hold one class only."""


class TooFewImpostors(DataError):
    """The impostor pairs cannot show so low a false accept rate."""


class PairBootstrap:
    """One protocol's pairs, and B resamples of their identities on which every score is measured.

    A resample draws as many identities as there are, with replacement; m_a counts how often a came. What it would hold as a
    data set of its own is kept by counting pairs:

        a genuine pair of a          m_a times        each copy of a brings its own pairs of photographs
        an impostor pair of a and b  m_a·m_b times    each copy of a meets each copy of b

    Identities are drawn, not pairs, because the pairs of a person share that person's face. All scores see the same
    resamples, so what makes a resample easy for all of them leaves their differences. Where impostor pairs of an identity
    have nothing but chance in common, intervals come out too wide, never too narrow (Owen 2007, The pigeonhole bootstrap).

    A resample that holds one class only has neither figure and is drawn anew.

    Attributes:
        num_pairs, num_identities: N and how many different identities they hold.
        num_impostor: how many of the N are of two people.
        num_samples: B.
        times: int64 (1 + B, I), m of each identity, in the order of its number: a row of ones for the data, then the resamples.
        num_redrawn: resamples that were drawn anew.
    """

    def __init__(
        self,
        people: npt.NDArray[Any],
        genuine: Bools,
        num_samples: int,
        rng: np.random.Generator,
    ) -> None:
        """Draw the resamples.

        Args:
            people: (N, 2), a number or a name for each pair's identities; the two are equal where, and only where, genuine.
            genuine: bool (N,).
            num_samples: B >= 2.
            rng: equal states give equal resamples.

        Raises:
            DataError: shapes differ or `people` contradicts `genuine`.
            TooFewIdentities: more than a tenth of B resamples hold one class only.
        """
        if people.shape != (len(genuine), 2) or num_samples < 2:
            got = f"people {people.shape}, {genuine.shape} flags, {num_samples} resamples"
            raise DataError("Pairs and identities do not belong together.", got=got, allowed="(N, 2), (N,), >= 2")
        wrong = np.flatnonzero((people[:, 0] == people[:, 1]) != genuine)[:5].tolist()
        if wrong:
            raise DataError("Pairs are genuine where, and only where, their identity is one.", got=f"pairs {wrong}")
        names, numbers = np.unique(people, return_inverse=True)
        self._people = numbers.reshape(people.shape)
        self._genuine = genuine
        self.num_pairs, self.num_identities, self.num_samples = len(genuine), len(names), num_samples
        self.num_impostor = int((~genuine).sum())
        self.times, self.num_redrawn = self._drawn(num_samples, rng)

    def auc(self, scores: npt.ArrayLike, only: Bools | None = None) -> Doubles:
        """AUC on the pairs as they are, then on each resample: float64 (1 + B,) in [0, 1]; raises as RankedPairs.

        Args:
            scores: (N,).
            only: bool (N,), the pairs that count; then NaN on resamples in which they are of one class.
        """
        return self._measured(RankedPairs(scores, self._genuine).auc, only)

    def accuracy(self, scores: npt.ArrayLike, only: Bools | None = None) -> Doubles:
        """Accuracy at each resample's own best threshold, as auc; see RankedPairs.accuracy."""
        return self._measured(RankedPairs(scores, self._genuine).accuracy, only)

    def tar_at_far(self, scores: npt.ArrayLike, rate: float) -> Doubles:
        """TAR at a FAR, as auc; each resample's threshold is its own. See RankedPairs.tar_at_far.

        Raises:
            TooFewImpostors: rate < 1 / the number of impostor pairs (METHODS, section 5).
            DataError: see RankedPairs.
        """
        if rate * self.num_impostor < 1.0 - 1e-9:
            raise TooFewImpostors(
                "Too few impostor pairs for a rate.", got=f"{self.num_impostor} for a FAR of {rate:g}"
            )
        ranked = RankedPairs(scores, self._genuine)
        return self._measured(lambda weights: ranked.tar_at_far(weights, rate), None)

    def _measured(self, figure: Callable[[Doubles], Doubles], only: Bools | None) -> Doubles:
        size = max(1, MAX_WEIGHTS_AT_ONCE // self.num_pairs)
        found = np.full(len(self.times), np.nan)
        for start in range(0, len(self.times), size):
            weights = self._weights(self.times[start : start + size])
            if only is not None:
                weights *= only
            rows = np.flatnonzero(self._holds_both(weights))
            found[start + rows] = figure(weights[rows])
        return found

    def _weights(self, times: Counts) -> Doubles:
        """How often each pair counts, (R, N), where identities were drawn `times` (R, I)."""
        weights = times[:, self._people[:, 0]].astype(np.float64)
        impostor = np.flatnonzero(~self._genuine)
        weights[:, impostor] *= times[:, self._people[impostor, 1]]
        return weights

    def _holds_both(self, weights: Doubles) -> Bools:
        """The rows, (R,), in which both classes have weight."""
        return np.asarray((weights @ self._genuine > 0) & (weights @ ~self._genuine > 0))

    def _drawn(self, num_samples: int, rng: np.random.Generator) -> tuple[Counts, int]:
        """Each identity once, then B rows of how often each was drawn: (1 + B, I), and how many rows were drawn anew."""
        num = self.num_identities
        blocks: list[Counts] = [np.ones((1, num), np.int64)]
        size = max(1, MAX_WEIGHTS_AT_ONCE // max(self.num_pairs, num))
        num_left, num_redrawn = num_samples, 0
        while num_left:
            num_rows = min(size, num_left)
            drawn = rng.integers(num, size=(num_rows, num)) + num * np.arange(num_rows)[:, None]
            times = np.bincount(drawn.ravel(), minlength=num_rows * num).reshape(num_rows, num)
            usable = self._holds_both(self._weights(times))
            blocks.append(times[usable])
            num_left -= int(usable.sum())
            num_redrawn += int((~usable).sum())
            if num_redrawn > MAX_REDRAWN_SHARE * num_samples:
                got = f"{num_redrawn} of {num_redrawn + num_samples - num_left} resamples of {num} identities"
                problem = "Resamples of a protocol's identities hold a single class; there are too few identities."
                raise TooFewIdentities(problem, got=got, allowed=f"at most {MAX_REDRAWN_SHARE:.0%} of {num_samples}")
        return np.concatenate(blocks), num_redrawn
