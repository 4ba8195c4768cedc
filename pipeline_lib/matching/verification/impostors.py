"""How high the faces of two people score: from false match rates of single pairs to those of a search through a gallery."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json, write_json

STEPS_A_DECADE = (
    20  # of the table's counts: a threshold between two of them is stricter by at most an eighth in its rate
)
# 95 % of the time, where none of n was seen, the rate is below 3/n (the rule of three); fewer are not told from none.
RULE_OF_THREE = 3.0


@dataclass(frozen=True)
class Impostors:
    """The upper half of the scores of pairs of two people, as a table.

    Attributes:
        num_pairs, num_photographs, num_people: what it was counted on. Every photograph is in many of the pairs, so these are
            not independent: the smallest rates rest on few people.
        false_matches: int, rising from 0.
        thresholds: falling; above thresholds[i] are at most false_matches[i] of the pairs.
    """

    num_pairs: int
    num_photographs: int
    num_people: int
    false_matches: Sequence[int]
    thresholds: Sequence[float]

    @property
    def least_rate(self) -> float:
        """The smallest false match rate that so many pairs can show: 3/n, the upper 95 % bound where none is above."""
        return min(1.0, RULE_OF_THREE / self.num_pairs)

    def threshold(self, rate: float) -> float:
        """The lowest threshold of the table with a false match rate of at most `rate`; the highest score for a smaller one."""
        allowed = np.searchsorted(self.false_matches, rate * self.num_pairs, side="right") - 1
        return float(self.thresholds[max(0, int(allowed))])

    def rate(self, score: float) -> float:
        """The share of pairs that reach `score`, at most; not below least_rate, and 1/2 for a score below the median."""
        above = sum(threshold >= score for threshold in self.thresholds)
        count = self.false_matches[min(above, len(self.false_matches) - 1)]
        return max(count / self.num_pairs, self.least_rate)


def search_rate(rate: float, num: int) -> float:
    """FPIR = 1 - (1 - FMR)^N: how often somebody who is not among N photographs is taken for one who is, were all N comparisons
    independent of each other. `rate` in [0, 1)."""
    return float(-np.expm1(num * np.log1p(-rate)))


def pair_rate(fpir: float, num: int) -> float:
    """The FMR that gives an FPIR in (0, 1) among N photographs: 1 - (1 - FPIR)^(1/N); see search_rate."""
    return float(-np.expm1(np.log1p(-fpir) / num))


def write_impostors(path: Path, impostors: Impostors) -> None:
    """Write the table as JSON."""
    write_json(path, asdict(impostors))


def read_impostors(path: Path) -> Impostors | None:
    """Read what write_impostors wrote; None where there is no such file, as of models of earlier versions.

    Raises:
        DataError: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        raw = read_json(path)
        columns = {name: tuple(raw.get(name, ())) for name in ("false_matches", "thresholds")}
        found = Impostors(**{**raw, **columns})
        whole = len(found.false_matches) == len(found.thresholds) > 0 < found.num_pairs
    except (AttributeError, TypeError) as error:
        raise DataError("A table of impostors has other keys.", got=error, where=path) from error
    if not whole:
        raise DataError("A table of impostors is damaged.", got="columns of two lengths, or no pairs", where=path)
    return found


def count_impostors(blocks: Iterable[npt.NDArray[np.floating]], num_photographs: int, num_people: int) -> Impostors:
    """The table of scores, which are taken in.

    Args:
        blocks: float (n,) each, finite, of pairs of two people.
        num_photographs, num_people: kept.

    Raises:
        DataError: there is no score, or one is not finite.
    """
    scores = np.sort(np.concatenate([np.zeros(0, np.float32), *blocks]).astype(np.float32))
    if not len(scores) or not np.isfinite(scores[[0, -1]]).all():
        raise DataError(
            "Rates of false matches need scores of two people.", got=f"{len(scores)} scores", allowed="finite"
        )
    most = len(scores) // 2
    steps = np.rint(10 ** (np.arange(STEPS_A_DECADE * 10) / STEPS_A_DECADE)).astype(np.int64)
    counts = np.unique([0, *steps[steps < most], most])
    thresholds = scores[len(scores) - 1 - np.minimum(counts, len(scores) - 1)]
    return Impostors(len(scores), num_photographs, num_people, tuple(counts.tolist()), tuple(thresholds.tolist()))
