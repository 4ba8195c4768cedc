"""ROC and the figures read from it: AUC, equal error rate, TAR at a FAR."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Roc:
    """The operating points of a score, from accepting nobody to accepting everybody.

    Attributes:
        thresholds: float64 (P,), descending; a pair is accepted where score >= threshold; the first is +inf.
        far: float64 (P,) in [0, 1]; share of the impostor pairs accepted, non-decreasing, 0 first and 1 last.
        tar: float64 (P,) in [0, 1]; share of the genuine pairs accepted, likewise.
        num_genuine, num_impostor: the pairs behind them.
    """

    thresholds: Doubles
    far: Doubles
    tar: Doubles
    num_genuine: int
    num_impostor: int


def check_scores(scores: npt.ArrayLike, genuine: npt.ArrayLike) -> tuple[Doubles, Bools]:
    """Scores as float64 (N,) and labels as bool (N,).

    Raises:
        DataError: the shapes differ, a score is NaN or infinite, or there is no genuine or no impostor pair.
    """
    values, labels = np.asarray(scores, np.float64), np.asarray(genuine)
    if values.ndim != 1 or labels.shape != values.shape or labels.dtype != np.bool_:
        got = f"{values.shape} scores, {labels.dtype} {labels.shape} labels"
        raise DataError("Scores and genuine flags do not belong together.", got=got, allowed="(N,) floats, (N,) bools")
    if not np.isfinite(values).all():
        rows = np.flatnonzero(~np.isfinite(values))[:5].tolist()
        raise DataError("A score is NaN or infinite.", got=f"pairs {rows}", allowed="finite scores")
    if labels.all() or not labels.any():
        got = f"{int(labels.sum())} genuine, {int((~labels).sum())} impostor"
        raise DataError("Verification needs both genuine and impostor pairs.", got=got, allowed="at least one of each")
    return values, labels


class RankedScores(NamedTuple):
    """N pairs by falling score.

    Attributes:
        order: int64 (N,), the pairs in this order; equal scores in that in which they came.
        scores: float64 (N,), falling.
        genuine: bool (N,), likewise.
        starts: int64 (S,), the first pair of each run of equal scores.
    """

    order: npt.NDArray[np.int64]
    scores: Doubles
    genuine: npt.NDArray[np.bool_]
    starts: npt.NDArray[np.int64]


def ranked_scores(scores: npt.ArrayLike, genuine: npt.ArrayLike) -> RankedScores:
    """Sort pairs by their score.

    Args:
        scores: (N,) finite; higher is more alike.
        genuine: bool (N,).

    Raises:
        DataError: see check_scores.
    """
    values, labels = check_scores(scores, genuine)
    order = np.argsort(-values, kind="stable")
    values = values[order]
    starts = np.flatnonzero(np.append(True, np.diff(values) != 0))
    return RankedScores(order, values, labels[order], starts)


def roc_curve(scores: npt.ArrayLike, genuine: npt.ArrayLike) -> Roc:
    """The ROC of a similarity; pairs of equal score enter together, so ties never favour either class.

    Args:
        scores: (N,) finite; higher is more alike.
        genuine: bool (N,).

    Raises:
        DataError: see check_scores.
    """
    ranked = ranked_scores(scores, genuine)
    labels = ranked.genuine
    last = np.append(ranked.starts[1:], len(labels)) - 1  # the last pair of each run of equal scores
    tar = np.cumsum(labels)[last] / labels.sum()
    far = np.cumsum(~labels)[last] / (~labels).sum()
    return Roc(
        np.concatenate(([np.inf], ranked.scores[last])),
        np.concatenate(([0.0], far)),
        np.concatenate(([0.0], tar)),
        int(labels.sum()),
        int((~labels).sum()),
    )


def area_under(roc: Roc) -> float:
    """AUC by trapezoids = P(genuine > impostor) + P(equal)/2, which is the Mann-Whitney U over its maximum."""
    return float(np.sum(np.diff(roc.far) * (roc.tar[1:] + roc.tar[:-1]) / 2))


def equal_error_rate(roc: Roc) -> tuple[float, float]:
    """The rate at which FAR = FRR = 1 - TAR, and its threshold.

    FAR + TAR - 1 rises from -1 to 1 along the curve; the crossing is interpolated linearly between the two operating
    points around it. The threshold is the finite one of them whose error rates differ less (the stricter if equal).
    """
    excess = roc.far + roc.tar - 1.0
    after = int(np.argmax(excess >= 0))  # the last point is at +1, the first at -1: 0 < after
    before = after - 1
    weight = -excess[before] / (excess[after] - excess[before])
    rate = roc.far[before] + weight * (roc.far[after] - roc.far[before])
    nearest = before if before > 0 and -excess[before] <= excess[after] else after
    return float(rate), float(roc.thresholds[nearest])


def tar_at_far(roc: Roc, rate: float) -> float | None:
    """The highest TAR of an operating point with FAR <= `rate`; no interpolation between points.

    None where rate < 1 / num_impostor: that many impostors cannot show so low a FAR (METHODS, section 5).
    """
    if rate * roc.num_impostor < 1.0 - 1e-9:  # 1e-9: 0.01 * 100 must count as 1 whatever its rounding
        return None
    # The same slack: an operating point that is exactly at the rate belongs to it.
    return float(roc.tar[np.flatnonzero(roc.far <= rate * (1 + 1e-9))[-1]])


def tars_at_fars(roc: Roc, rates: Iterable[float]) -> dict[str, float]:
    """{"tar@<rate>": TAR} of the rates that the number of impostors resolves; see tar_at_far."""
    found = {f"tar@{rate:g}": tar_at_far(roc, rate) for rate in rates}
    return {name: tar for name, tar in found.items() if tar is not None}


def thinned(roc: Roc, max_points: int) -> npt.NDArray[np.int64]:
    """Indices of at most `max_points` operating points that draw the curve on linear and on logarithmic FAR axes.

    The corners of the staircase are kept if there are few enough; otherwise those next to evenly spaced FARs (a half)
    and evenly spaced log FARs (the other half). The two ends always stay.

    Raises:
        DataError: max_points is under 4.
    """
    if max_points < 4:
        raise DataError("A curve cannot be thinned that far.", got=max_points, allowed=">= 4")
    far, tar = roc.far, roc.tar
    straight = (np.diff(far)[:-1] * np.diff(tar)[1:]) == (np.diff(far)[1:] * np.diff(tar)[:-1])
    corners = np.flatnonzero(np.concatenate(([True], ~straight, [True])))
    if len(corners) <= max_points:
        return corners
    half = max_points // 2
    wanted = np.concatenate((np.linspace(0, 1, half), np.geomspace(1 / roc.num_impostor, 1, max_points - half - 1)))
    # The last corner at or under each wanted FAR: its TAR is the one reported there.
    kept = corners[np.searchsorted(far[corners], wanted, side="right") - 1]
    return np.unique(np.append(kept, 0))
