"""From a similarity to a probability and a decision: one logistic curve, fitted on validation pairs, gives both."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json, write_json
from pipeline_lib.core.roc import Doubles, area_under, check_scores, roc_curve

MAX_NEWTON_STEPS = 100
MIN_STEEPNESS = (
    1e-6  # of the logit, a standard deviation of the scores: what a mean gradient of 1e-9 leaves of a slope of 0
)


@dataclass(frozen=True)
class Calibration:
    """P(genuine | score) = 1/(1 + exp(-(slope·score + intercept))), slope >= 0; a match where score > threshold.

    P is 1/2 at the threshold, so a match has more and no match has at most that (fit_calibration says what holds at slope 0).
    `protocol`, `num_pairs`, `auc` and `accuracy` (at the threshold, on the fitted pairs) say what it was fitted on.
    """

    threshold: float
    slope: float
    intercept: float
    protocol: str
    num_pairs: int
    auc: float
    accuracy: float

    def probability(self, scores: npt.ArrayLike) -> Doubles:
        """Probability that the pair is genuine, float64 in [0, 1], of scores of any shape."""
        return _sigmoid(self.slope * np.asarray(scores, np.float64) + self.intercept)

    def matches(self, scores: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether each score is above the threshold: the one definition of a match."""
        return np.asarray(np.asarray(scores, np.float64) > self.threshold, np.bool_)


def fit_calibration(scores: npt.ArrayLike, genuine: npt.ArrayLike, protocol: str) -> Calibration:
    """Fit a logistic curve (Platt 1999) on pairs; the threshold is where it passes 1/2.

    The curve minimises the cross-entropy to the targets (G+1)/(G+2) for the G genuine and 1/(I+2) for the I impostor
    pairs: Platt's regularisation, which keeps the slope finite on separable scores. Newton's method with step halving,
    on standardised scores. More alike is never less probable: where the minimum has a slope below 0 (as with an AUC below
    1/2), that at slope 0 is taken. The score then tells nothing, P is everywhere the mean target, and the threshold refuses
    all of the pairs, or accepts them where P is above 1/2.

    The threshold of the highest accuracy on the pairs is not taken: two fits of a few hundred pairs contradict each other
    (a match below 1/2, no match above), and it is the less certain of the two (docs/methods.md).

    Args:
        scores: (N,) finite; higher is more alike.
        genuine: bool (N,).
        protocol: name of the pairs' protocol, kept with the result.

    Raises:
        DataError: see check_scores.
    """
    values, labels = check_scores(scores, genuine)
    slope, intercept, threshold = _fit_logistic(values, labels)
    accuracy = float(np.mean((values > threshold) == labels))
    auc = area_under(roc_curve(values, labels))
    return Calibration(threshold, slope, intercept, protocol, len(values), auc, accuracy)


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
        return {name: Calibration(**fields) for name, fields in raw.items()}
    except (AttributeError, TypeError) as error:
        raise DataError("A calibration file has other keys; run the verify stage.", got=error, where=path) from error


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
