"""From a similarity to a probability and a decision: one rising curve, fitted on validation pairs, gives both."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json, write_json
from pipeline_lib.core.roc import Doubles, area_under, check_scores, equal_error_rate, roc_curve
from pipeline_lib.matching.verification.impostors import ImpostorScores, impostor_scores
from pipeline_lib.matching.verification.isotonic_curve import Points, fit_isotonic_curve, log_odds_on, score_at
from pipeline_lib.matching.verification.logistic_curve import fit_logistic_curve, sigmoid
from pipeline_lib.matching.verification.threshold import best_threshold
from pipeline_lib.params.verify import CalibrationKind, Decide, Fmr

ABOVE_HALF = float(np.nextafter(0.5, 1.0))


@dataclass(frozen=True)
class Calibration:
    """P(genuine | score) = 1/(1 + exp(-(rise(score) + intercept))); a match where score > threshold.

    rise is slope·score, slope >= 0 (logistic), or the curve through `points`, which goes on beyond them with the slope of the
    logistic one (isotonic); at slope 0 there are no points.

    P is 1/2 at the threshold, so a match has more and no match has at most that (fit_calibration says what holds at slope 0).
    It holds where a share `prior` of the pairs is genuine beforehand: a stricter threshold is the one for rarer genuine pairs.
    `protocol`, `num_pairs`, `auc` and `accuracy` (at the threshold, on the fitted pairs) say what it was fitted on, `decided_by`
    how the threshold was chosen, `impostors` what it lets through, `genuine` what it refuses of pairs of one person: the table of
    their negated scores, None of a calibration that an earlier version fitted.
    """

    threshold: float
    slope: float
    intercept: float
    protocol: str
    num_pairs: int
    auc: float
    accuracy: float
    prior: float
    decided_by: str
    impostors: ImpostorScores
    points: Points = ()
    genuine: ImpostorScores | None = None

    def rise(self, scores: npt.ArrayLike) -> Doubles:
        """What the log odds owe to the score, float64, of scores of any shape: strictly rising unless the slope is 0."""
        if self.points:
            return log_odds_on(self.points, self.slope, scores)
        return np.asarray(self.slope * np.asarray(scores, np.float64))

    def log_ratio(self, scores: npt.ArrayLike) -> Doubles:
        """ln P(score | genuine) / P(score | impostor), which no threshold and no prior moves."""
        return np.asarray(self.rise(scores) + self.intercept - np.log(self.prior / (1 - self.prior)))

    def probability(self, scores: npt.ArrayLike) -> Doubles:
        """Probability that the pair is genuine, float64 in [0, 1], of scores of any shape."""
        found = sigmoid(self.rise(scores) + self.intercept)
        if not self.slope:
            return found
        # Next to the threshold rounding would say 1/2 of a match, or more of none.
        return np.where(self.matches(scores), np.maximum(found, ABOVE_HALF), np.minimum(found, 0.5))

    def matches(self, scores: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether each score is above the threshold: the one definition of a match."""
        return np.asarray(np.asarray(scores, np.float64) > self.threshold, np.bool_)

    @property
    def basis(self) -> str:
        """How the threshold was chosen, what it lets through and what it refuses, in a sentence."""
        tail = self.impostors
        wrong = tail.above(self.threshold)
        rate, bound = tail.rates(self.threshold)
        at_most = "" if self.threshold in tail.thresholds else "at most "
        return (
            f"The threshold was set by {self.decided_by}: {at_most}{wrong:,} of {tail.num_pairs:,} pairs of two people "
            f"({self.protocol}) are above it, {rate:.2%}; the rate on others like them is below {bound:.2%} (95 % sure, were the "
            f"pairs independent).{self._misses_in_words()}"
        )

    def misses(self) -> tuple[int, int] | None:
        """How many pairs of one person the threshold refuses, at most, and how many there are; None where that was not kept."""
        if self.genuine is None:
            return None
        return self.genuine.above(self._negated), self.genuine.num_pairs

    @property
    def _negated(self) -> float:
        return -float(np.nextafter(self.threshold, np.inf))  # what is at the threshold is refused, too

    def _misses_in_words(self) -> str:
        missed, num = self.misses() or (0, 0)
        if self.genuine is None:
            return ""
        at_most = "" if self._negated in self.genuine.thresholds else "at most "
        return f" Of {num:,} pairs of one person {at_most}{missed:,} are not above it, {missed / num:.2%}."

    def at_threshold(self, threshold: float, decided_by: str = "you") -> "Calibration":
        """The same evidence with another threshold, and the prior at which P is 1/2 there.

        Raises:
            DataError: the threshold is not finite, or the score tells nothing (slope 0), so that no other threshold is better.
        """
        if not np.isfinite(threshold):
            raise DataError("A threshold is no number.", got=threshold, allowed="a finite number")
        if not self.slope:
            raise DataError(
                "This score tells nothing of the pairs it was calibrated on, at no threshold.", got=f"AUC {self.auc}"
            )
        moved = -float(self.rise(threshold))
        prior = float(sigmoid(np.array(moved - self.intercept + np.log(self.prior / (1 - self.prior)))))
        return replace(self, threshold=threshold, intercept=moved, prior=prior, decided_by=decided_by)

    def deciding(self, fmr: float | None, threshold: float | None) -> "Calibration":
        """As asked for one call: at a false-match rate, at a threshold, or as it is.

        Raises:
            DataError: both are given, or see at_fmr, at_threshold.
        """
        if fmr is not None and threshold is not None:
            raise DataError("A false-match rate and a threshold are two ways to say one thing.", allowed="one of them")
        if threshold is not None:
            return self.at_threshold(threshold)
        return self if fmr is None else self.at_fmr(fmr)

    def at_fmr(self, rate: float) -> "Calibration":
        """With the lowest threshold that at most a share `rate` of the impostor pairs is above.

        Raises:
            DataError: fewer than one of the pairs may be above, or the rate is none; see at_threshold.
        """
        num = self.impostors.num_pairs
        if not 1 / num * (1 - 1e-9) <= rate < 1:
            got = f"{rate:g} with {num} pairs of two people"
            raise DataError("A false-match rate cannot be told.", got=got, allowed=f">= {1 / num:.2g}, below 1")
        return self.at_threshold(self.impostors.threshold(rate), f"a false-match rate of {rate:g}")


def fit_calibration(
    scores: npt.ArrayLike,
    genuine: npt.ArrayLike,
    protocol: str,
    decide: Decide = "even_odds",
    kind: CalibrationKind = "logistic",
) -> Calibration:
    """Fit a curve on pairs, and choose the threshold.

    The curve follows the targets (G+1)/(G+2) for the G genuine and 1/(I+2) for the I impostor pairs: Platt's regularisation,
    which keeps it finite on separable scores; see fit_logistic_curve and fit_isotonic_curve. More alike is never less
    probable: where the logistic slope is 0 (as with an AUC below 1/2), the score tells nothing by either kind, P is everywhere
    the mean target, and the threshold refuses all of the pairs, or accepts them where P is above 1/2.

    The curve holds where genuine and impostor pairs are as frequent as here. `decide` "even_odds" leaves it, with the threshold
    where P is 1/2. Any other threshold t (docs/methods.md) moves the curve: intercept = -rise(t), which is the curve at the prior
    log odds that make P 1/2 at t, so decision and probability never contradict each other.

    Args:
        scores: (N,) finite; higher is more alike.
        genuine: bool (N,).
        protocol: name of the pairs' protocol, kept with the result.
        decide: see params.verify; where slope is 0, it is not looked at.
        kind: of the curve.

    Raises:
        DataError: see check_scores; the impostor pairs are too few for the false-match rate.
    """
    values, labels = check_scores(scores, genuine)
    slope, intercept, threshold = fit_logistic_curve(values, labels)
    points: Points = ()
    if kind == "isotonic" and slope:
        points = fit_isotonic_curve(values, labels)
        threshold = score_at(points, slope, 0.0)
        intercept = -float(log_odds_on(points, slope, threshold))  # 0 up to rounding
    roc, tail = roc_curve(values, labels), impostor_scores(values[~labels])
    share = float(labels.mean())
    found = Calibration(
        threshold,
        slope,
        intercept,
        protocol,
        len(values),
        area_under(roc),
        0.0,
        share,
        "even odds",
        tail,
        points,
    )
    if slope and decide != "even_odds":
        if isinstance(decide, Fmr):
            found = found.at_fmr(decide.fmr)
        elif decide == "eer":
            found = found.at_threshold(equal_error_rate(roc)[1], "equal error rates")
        else:
            found = found.at_threshold(best_threshold(values, labels)[0], "the highest accuracy")
    return replace(
        found,
        accuracy=float(np.mean(found.matches(values) == labels)),
        impostors=impostor_scores(values[~labels], also=found.threshold),  # so that its errors are counts, not bounds
        genuine=impostor_scores(-values[labels], also=found._negated),
    )


def write_calibrations(path: Path, calibrations: Mapping[str, Calibration]) -> None:
    """Write {score name: calibration} as JSON."""
    write_json(path, {name: asdict(calibration) for name, calibration in calibrations.items()})


def read_calibrations(path: Path) -> dict[str, Calibration]:
    """Read what write_calibrations wrote.

    Raises:
        DataError: the file is missing, no JSON, or has other keys.
    """
    raw = read_json(path)
    try:
        return {name: _calibration(fields) for name, fields in raw.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError("A calibration file has other keys; run the verify stage.", got=error, where=path) from error


def _calibration(fields: Mapping[str, Any]) -> Calibration:
    points = tuple((float(score), float(log_odds)) for score, log_odds in fields.get("points", ()))  # none of old ones
    genuine = fields.get("genuine")
    tables = {"impostors": _table(fields["impostors"]), "genuine": None if genuine is None else _table(genuine)}
    return Calibration(**{**fields, **tables, "points": points})


def _table(fields: Mapping[str, Any]) -> ImpostorScores:
    return ImpostorScores(**{**fields, **{name: tuple(fields[name]) for name in ("false_matches", "thresholds")}})
