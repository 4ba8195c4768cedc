"""How sure a decision is, from where its score lies among those of pairs whose answer is known (Knoche et al., WACV-W
2023)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.roc import Doubles, check_scores

NUM_BINS = 2000  # of the cosine distances 0 to 2, as in the public code
FIRST_STEEPNESS = 20.0  # likewise; where the fit begins
MAX_STEEPNESS = 1e4  # the curve passes from one end to the other within a bin: steeper ones cannot be told apart


@dataclass(frozen=True)
class Confidence:
    """c(d) = low + (high - low) / (1 + exp(steepness (d - middle))), of the cosine distance d = 1 - score; see
    fit_confidence."""

    low: float
    high: float
    steepness: float
    middle: float
    threshold: float

    def of_match(self, scores: npt.ArrayLike) -> Doubles:
        """That the faces are of one person: float64 in [0, 1], never less for a higher score; of any shape."""
        return _curve(1.0 - np.asarray(scores, np.float64), self.low, self.high, np.log(self.steepness), self.middle)

    def of_decision(self, scores: npt.ArrayLike) -> Doubles:
        """That the decision is right: of a match (a score above the threshold) c, of no match 1 - c."""
        found = self.of_match(scores)
        return np.where(np.asarray(scores, np.float64) > self.threshold, found, 1.0 - found)


def fit_confidence(scores: npt.ArrayLike, genuine: npt.ArrayLike, threshold: float) -> Confidence:
    """Fit xFace's confidence on validation pairs.

        r_k = g_k / (g_k + i_k),   c = the sigmoid nearest to the r_k in least squares

    g_k and i_k are the shares of the genuine and of the impostor pairs whose distance lies in bin k of 2,000 between 0
    and 2; so r is the probability of one person where both answers are as likely beforehand, whatever the numbers of
    pairs. In a bin without pairs r is 1 below the threshold's distance and 0 from it on.

    The definition is the public code's (github.com/martlgap/x-face-verification), which the text of the paper was not
    compared with. Here, and not there: the curve is kept inside [0, 1] and falling, and a bin stands for its middle
    instead of its lower end. The verdict's probability is another one (matching.verification.calibration: Platt's
    curve, by cross-entropy, without bins); this one is for comparison with the paper.

    Args:
        scores: (N,) cosines, in [-1, 1].
        genuine: bool (N,).
        threshold: a match is a score above it.

    Raises:
        DataError: see check_scores; a score is no cosine; or the threshold lies outside the scores.
    """
    values, labels = check_scores(scores, genuine)
    if np.abs(values).max() > 1 + 1e-6:  # rounding of float32 cosines
        raise DataError(
            "xFace's confidence is of cosines.", got=f"{values.min():g} to {values.max():g}", allowed="-1 to 1"
        )
    if not values.min() <= threshold <= values.max():
        allowed = f"{values.min():g} to {values.max():g}, the scores' range"
        raise DataError("A threshold lies outside the scores.", got=threshold, allowed=allowed)
    edges = np.linspace(0.0, 2.0, NUM_BINS + 1)
    distances = np.clip(1.0 - values, 0.0, 2.0)
    shares = [
        np.histogram(distances[labels == answer], edges)[0] / (labels == answer).sum() for answer in (True, False)
    ]
    middles, total = (edges[:-1] + edges[1:]) / 2, shares[0] + shares[1]
    unknown = np.where(middles < 1.0 - threshold, 1.0, 0.0)
    ratios = np.divide(shares[0], total, out=unknown, where=total > 0)
    low, high, log_steepness, middle = _fitted(middles, ratios, 1.0 - threshold)
    return Confidence(low, high, float(np.exp(log_steepness)), middle, float(threshold))


def _curve(distances: Doubles, low: float, high: float, log_steepness: float, middle: float) -> Doubles:
    # 1 / (1 + exp(z)) without overflow at either end
    falls = 0.5 * (1.0 - np.tanh(0.5 * np.exp(log_steepness) * (distances - middle)))
    return np.asarray(low + (high - low) * falls, np.float64)


def _fitted(middles: Doubles, ratios: Doubles, threshold: float) -> list[float]:
    from scipy.optimize import curve_fit

    first = (0.0, 1.0, np.log(FIRST_STEEPNESS), threshold)
    bounds = ((0.0, 0.5, 0.0, 0.0), (0.5, 1.0, np.log(MAX_STEEPNESS), 2.0))
    found: list[float] = curve_fit(_curve, middles, ratios, first, bounds=bounds)[0].tolist()
    return found
