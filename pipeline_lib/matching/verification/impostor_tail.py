"""What a threshold lets through: the highest scores of impostor pairs."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError

EVERY_RANK = 20  # below it ranks are a tenth apart
CONFIDENCE = 0.95


@dataclass(frozen=True)
class ImpostorTail:
    """Scores of impostor pairs, by falling score: the first few all, then some.

    Attributes:
        num: of impostor pairs, N.
        ranks: from 0, rising; the last is N - 1.
        scores: of the pair at each rank.
    """

    num: int
    ranks: list[int]
    scores: list[float]

    def threshold(self, rate: float) -> float:
        """The lowest kept threshold above which at most a share `rate` of the pairs lies.

        Raises:
            DataError: the rate is not between 0 and 1, or no pair may be above: that many cannot show so low a rate.
        """
        if not 0.0 < rate < 1.0:
            raise DataError("A false-match rate is a share.", got=rate, allowed="above 0, below 1")
        allowed = int(rate * self.num * (1 + 1e-9))  # 0.01 * 100 must count as 1 whatever its rounding
        if allowed < 1:
            got = f"{rate:g} with {self.num} impostor pairs"
            raise DataError("So low a false-match rate cannot be told.", got=got, allowed=f">= {1 / self.num:.2g}")
        place = int(np.searchsorted(self.ranks, allowed, side="right")) - 1
        return self.scores[place]

    def false_matches(self, threshold: float) -> int:
        """How many of the pairs are above a threshold; between two kept ranks, at most."""
        above = int(np.sum(np.asarray(self.scores) > threshold))
        return self.num if above == len(self.ranks) else self.ranks[above]

    def rates(self, threshold: float) -> tuple[float, float]:
        """The false-match rate at a threshold, and what the true one is below at a confidence of 95 % (Clopper, Pearson 1934).

        That is for independent pairs; pairs that share people tell less.
        """
        from scipy.special import betaincinv  # where it is used: most stages do without

        wrong = self.false_matches(threshold)
        bound = 1.0 if wrong == self.num else float(betaincinv(wrong + 1, self.num - wrong, CONFIDENCE))
        return wrong / self.num, bound


def impostor_tail(scores: npt.ArrayLike) -> ImpostorTail:
    """Of the scores (N,) of N >= 1 impostor pairs."""
    ordered = np.sort(np.asarray(scores, np.float64))[::-1]
    ranks, rank = list[int](), 0
    while rank < len(ordered) - 1:
        ranks.append(rank)
        rank = max(rank + 1, int(rank * 1.1)) if rank >= EVERY_RANK else rank + 1
    ranks.append(len(ordered) - 1)
    return ImpostorTail(len(ordered), ranks, ordered[ranks].tolist())
