"""Platt's logistic curve (1999): log odds that rise with a score in proportion."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.roc import Bools, Doubles

MAX_NEWTON_STEPS = 100
MIN_STEEPNESS = (
    1e-6  # of the logit, a standard deviation of the scores: what a mean gradient of 1e-9 leaves of a slope of 0
)


def smoothed_targets(labels: Bools) -> Doubles:
    """(G+1)/(G+2) for each of G genuine and 1/(I+2) for each of I impostor pairs, float64 (N,): no probability fitted to them
    is 0 or 1."""
    num_genuine, num_impostor = int(labels.sum()), int((~labels).sum())
    return np.where(labels, (num_genuine + 1) / (num_genuine + 2), 1 / (num_impostor + 2))


def fit_logistic_curve(values: Doubles, labels: Bools) -> tuple[float, float, float]:
    """Slope >= 0 and intercept of the curve with the least cross-entropy to smoothed_targets, and where it is 1/2.

    Newton's method with step halving, on standardised scores. Where the minimum has a slope below 0, that at slope 0 is
    taken: the mean target everywhere; the threshold then refuses all pairs, or accepts them where it is above 1/2.

    Args:
        values: (N,) finite.
        labels: bool (N,), both classes.
    """
    targets = smoothed_targets(labels)
    centre, spread = float(values.mean()), float(values.std()) or 1.0  # all scores equal: the slope stays 0
    design = np.stack([(values - centre) / spread, np.ones(len(values))], axis=1)
    weights = np.zeros(2)
    loss = _cross_entropy(design @ weights, targets)
    for _ in range(MAX_NEWTON_STEPS):
        probabilities = sigmoid(design @ weights)
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


def sigmoid(logits: npt.ArrayLike) -> Doubles:
    """1/(1 + exp(-x)), float64, without overflow at either end."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * np.asarray(logits, np.float64))))


def _cross_entropy(logits: Doubles, targets: Doubles) -> float:
    return float(np.sum(np.logaddexp(0.0, logits) - targets * logits))
