"""How high pairs of two people score: false-match rates of thresholds, of single pairs and of a search through a gallery."""

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
CONFIDENCE = 0.95


@dataclass(frozen=True)
class ImpostorScores:
    """The upper half of the scores of pairs of two people, as a table.

    Attributes:
        num_pairs: it was counted on.
        false_matches: int, rising from 0.
        thresholds: falling; above thresholds[i] are at most false_matches[i] of the pairs.
    """

    num_pairs: int
    false_matches: Sequence[int]
    thresholds: Sequence[float]

    @property
    def least_rate(self) -> float:
        """The smallest false-match rate that so many pairs can show: 3/n, the upper 95 % bound where none is above."""
        return min(1.0, RULE_OF_THREE / self.num_pairs)

    def threshold(self, rate: float) -> float:
        """The lowest threshold of the table with a false-match rate of at most `rate`; the highest score for a smaller one."""
        wanted = rate * self.num_pairs * (1 + 1e-9)  # 0.01 * 100 must count as 1 whatever its rounding
        allowed = np.searchsorted(self.false_matches, wanted, side="right") - 1
        return float(self.thresholds[max(0, int(allowed))])

    def above(self, threshold: float) -> int:
        """How many of the pairs are above a threshold: of one between two of the table, at most; of one below the median, all."""
        place = int(np.sum(np.asarray(self.thresholds) > threshold))
        return self.num_pairs if place == len(self.thresholds) else self.false_matches[place]

    def rate(self, score: float) -> float:
        """The share of pairs that reach `score`, at most; not below least_rate, and 1/2 for a score below the median."""
        above = sum(threshold >= score for threshold in self.thresholds)
        count = self.false_matches[min(above, len(self.false_matches) - 1)]
        return max(count / self.num_pairs, self.least_rate)

    def rates(self, threshold: float) -> tuple[float, float]:
        """The false-match rate at a threshold, and what the true one is below at a confidence of 95 % (Clopper, Pearson 1934).

        That is for independent pairs; pairs that share people tell less.
        """
        from scipy.special import betaincinv  # where it is used: most stages do without

        wrong = self.above(threshold)
        bound = 1.0 if wrong == self.num_pairs else float(betaincinv(wrong + 1, self.num_pairs - wrong, CONFIDENCE))
        return wrong / self.num_pairs, bound


@dataclass(frozen=True)
class Impostors(ImpostorScores):
    """Of all pairs of photographs of different people.

    `num_photographs`, `num_people`: every photograph is in many of the pairs, so these are not independent, and the smallest
    rates rest on few people.
    """

    num_photographs: int
    num_people: int


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
        DataError: see impostor_scores.
    """
    table = impostor_scores(np.concatenate([np.zeros(0, np.float32), *blocks]))
    return Impostors(**vars(table), num_photographs=num_photographs, num_people=num_people)


def impostor_scores(scores: npt.ArrayLike, also: float | None = None) -> ImpostorScores:
    """The table of scores (n,); `also` is a threshold that it has a row of its own for, where at most half of them are above.

    Raises:
        DataError: there is no score, or one is not finite.
    """
    ordered = np.sort(np.asarray(scores))
    if not len(ordered) or not np.isfinite(ordered[[0, -1]]).all():
        problem = "Rates of false matches need scores of two people."
        raise DataError(problem, got=f"{len(ordered)} scores", allowed="finite")
    most = len(ordered) // 2
    steps = np.rint(10 ** (np.arange(STEPS_A_DECADE * 10) / STEPS_A_DECADE)).astype(np.int64)
    counts = np.unique([0, *steps[steps < most], most])
    thresholds = ordered[len(ordered) - 1 - np.minimum(counts, len(ordered) - 1)]
    rows = list(zip(counts.tolist(), thresholds.tolist(), strict=True))
    if also is not None and (above := int((ordered > also).sum())) <= most and also not in thresholds:
        rows = sorted([*rows, (above, float(also))], key=lambda row: (row[0], -row[1]))
    return ImpostorScores(len(ordered), tuple(row[0] for row in rows), tuple(row[1] for row in rows))
