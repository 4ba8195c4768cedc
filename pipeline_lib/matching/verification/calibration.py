"""From a similarity to a probability and a decision: one logistic curve, fitted on validation pairs, gives both."""

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
from pipeline_lib.matching.verification.threshold import best_threshold
from pipeline_lib.params.verify import Decide, Fmr

MAX_NEWTON_STEPS = 100
MIN_STEEPNESS = (
    1e-6  # of the logit, a standard deviation of the scores: what a mean gradient of 1e-9 leaves of a slope of 0
)


@dataclass(frozen=True)
class Calibration:
    """P(genuine | score) = 1/(1 + exp(-(slope·score + intercept))), slope >= 0; a match where score > threshold.

    P is 1/2 at the threshold, so a match has more and no match has at most that (fit_calibration says what holds at slope 0).
    It holds where a share `prior` of the pairs is genuine beforehand: a stricter threshold is the one for rarer genuine pairs.
    `protocol`, `num_pairs`, `auc` and `accuracy` (at the threshold, on the fitted pairs) say what it was fitted on, `decided_by`
    how the threshold was chosen, `impostors` what it lets through.
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

    def probability(self, scores: npt.ArrayLike) -> Doubles:
        """Probability that the pair is genuine, float64 in [0, 1], of scores of any shape."""
        return _sigmoid(self.slope * np.asarray(scores, np.float64) + self.intercept)

    def matches(self, scores: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether each score is above the threshold: the one definition of a match."""
        return np.asarray(np.asarray(scores, np.float64) > self.threshold, np.bool_)

    @property
    def basis(self) -> str:
        """How the threshold was chosen and what it lets through, in a sentence."""
        tail = self.impostors
        wrong = tail.above(self.threshold)
        rate, bound = tail.rates(self.threshold)
        at_most = "" if self.threshold in tail.thresholds else "at most "
        return (
            f"The threshold was set by {self.decided_by}: {at_most}{wrong:,} of {tail.num_pairs:,} pairs of two people "
            f"({self.protocol}) are above it, {rate:.2%}; the rate on others like them is below {bound:.2%} (95 % sure, were the "
            "pairs independent)."
        )

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
        moved = -self.slope * threshold
        prior = float(_sigmoid(np.array(moved - self.intercept + np.log(self.prior / (1 - self.prior)))))
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
    scores: npt.ArrayLike, genuine: npt.ArrayLike, protocol: str, decide: Decide = "even_odds"
) -> Calibration:
    """Fit a logistic curve (Platt 1999) on pairs, and choose the threshold.

    The curve minimises the cross-entropy to the targets (G+1)/(G+2) for the G genuine and 1/(I+2) for the I impostor
    pairs: Platt's regularisation, which keeps the slope finite on separable scores. Newton's method with step halving,
    on standardised scores. More alike is never less probable: where the minimum has a slope below 0 (as with an AUC below
    1/2), that at slope 0 is taken. The score then tells nothing, P is everywhere the mean target, and the threshold refuses
    all of the pairs, or accepts them where P is above 1/2.

    The curve holds where genuine and impostor pairs are as frequent as here. `decide` "even_odds" leaves it, with the threshold
    where P is 1/2. Any other threshold t (docs/methods.md) moves the curve: intercept = -slope·t, which is the curve at the prior
    log odds that make P 1/2 at t, so decision and probability never contradict each other.

    Args:
        scores: (N,) finite; higher is more alike.
        genuine: bool (N,).
        protocol: name of the pairs' protocol, kept with the result.
        decide: see params.verify; where slope is 0, it is not looked at.

    Raises:
        DataError: see check_scores; the impostor pairs are too few for the false-match rate.
    """
    values, labels = check_scores(scores, genuine)
    slope, intercept, threshold = _fit_logistic(values, labels)
    roc, tail = roc_curve(values, labels), impostor_scores(values[~labels])
    share = float(labels.mean())
    found = Calibration(
        threshold, slope, intercept, protocol, len(values), area_under(roc), 0.0, share, "even odds", tail
    )
    if slope and decide != "even_odds":
        if isinstance(decide, Fmr):
            found = found.at_fmr(decide.fmr)
        elif decide == "eer":
            found = found.at_threshold(equal_error_rate(roc)[1], "equal error rates")
        else:
            found = found.at_threshold(best_threshold(values, labels)[0], "the highest accuracy")
    return replace(found, accuracy=float(np.mean(found.matches(values) == labels)))


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
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError("A calibration file has other keys; run the verify stage.", got=error, where=path) from error


def _calibration(fields: Mapping[str, Any]) -> Calibration:
    table = fields["impostors"]
    columns = {name: tuple(table[name]) for name in ("false_matches", "thresholds")}
    return Calibration(**{**fields, "impostors": ImpostorScores(**{**table, **columns})})


def _fit_logistic(values: Doubles, labels: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
    """Slope, intercept and threshold."""
    num_genuine, num_impostor = int(labels.sum()), int((~labels).sum())
    targets = np.where(labels, (num_genuine + 1) / (num_genuine + 2), 1 / (num_impostor + 2))
    centre, spread = float(values.mean()), float(values.std()) or 1.0  # all scores equal: the slope stays 0
    design = np.stack([(values - centre) / spread, np.ones(len(values))], axis=1)
    weights = np.zeros(2)
    loss = _cross_entropy(design @ weights, targets)
    for _ in range(MAX_NEWTON_STEPS):
        probabilities = _sigmoid(design @ weights)
        gradient = design.T @ (probabilities - targets)
        if np.abs(gradient).max() <= 1e-9 * len(
            values
        ):  # nine digits of a mean gradient: far beyond what a report shows
            break
        curvature = (design.T * (probabilities * (1 - probabilities))) @ design + 1e-12 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        while (lower := _cross_entropy(design @ (weights - step), targets)) > loss and np.abs(step).max() > 1e-15:
            step = step / 2
        weights, loss = weights - step, lower
    steepness, height = weights.tolist()
    if steepness > MIN_STEEPNESS:
        slope = steepness / spread
        return slope, height - slope * centre, centre - height / slope
    mean = float(targets.mean())
    nobody, everybody = float(values.max()), float(np.nextafter(values.min(), -np.inf))
    return 0.0, float(np.log(mean / (1 - mean))), everybody if mean > 0.5 else nobody


def _cross_entropy(logits: Doubles, targets: Doubles) -> float:
    return float(np.sum(np.logaddexp(0.0, logits) - targets * logits))


def _sigmoid(logits: Doubles) -> Doubles:
    return 0.5 * (1.0 + np.tanh(0.5 * logits))  # no overflow at either end
