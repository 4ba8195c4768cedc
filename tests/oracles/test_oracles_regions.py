"""The bootstrap of region weights against resamples written out row by row and known weights; the map pixel by pixel."""

import itertools

import numpy as np
import pytest

from pipeline_lib.data.patches.grid import unique_regions
from pipeline_lib.matching.regions.bootstrap import bootstrap_weights
from pipeline_lib.matching.regions.logistic import fit_logistic
from pipeline_lib.matching.regions.weight_map import weight_map
from pipeline_lib.matching.regions.weights import RegionWeights

SPREAD = 0.15
SHIFTS = np.array([0.0, 0.15, 0.1])
# Two normal classes of one covariance SPREAD²·I, SHIFTS apart, have the log-odds weights SHIFTS / SPREAD².
TRUE_WEIGHTS = SHIFTS / SPREAD**2


def simulate(num_identities: int, num: int, shared: float, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Cosines of three regions, flags, people; a share shared² of the variance is the identities' own.

    An identity's part u is in all its pairs: u_a in a genuine one, (u_a + u_b)/√2 in an impostor one, so that both
    classes keep the covariance SPREAD²·I and the weights stay known.
    """
    genuine = np.arange(num) % 2 == 0
    a = rng.integers(num_identities, size=num)
    b = np.where(genuine, a, (a + rng.integers(1, num_identities, size=num)) % num_identities)
    own = rng.normal(size=(num_identities, 3))
    common = np.where(genuine[:, None], own[a], (own[a] + own[b]) / np.sqrt(2))
    noise = shared * common + np.sqrt(1 - shared**2) * rng.normal(size=(num, 3))
    return SPREAD * noise + genuine[:, None] * SHIFTS, genuine, np.stack([a, b], axis=1)


def as_found(weights: np.ndarray, intercept: float, strength: float) -> RegionWeights:
    return RegionWeights(["a", "b", "c"], weights, intercept, strength, {})


def test_bootstrap_against_resamples_written_out():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    cosines, genuine, people = simulate(9, 120, 0.5, np.random.default_rng(0))
    found = bootstrap_weights(as_found(np.zeros(3), 0.0, 0.3), cosines, genuine, people, 4, np.random.default_rng(7))
    rng, slow = np.random.default_rng(7), []
    for _ in range(4):
        drawn = rng.integers(9, size=9).tolist()
        rows, flags = [], []
        for copy_a, copy_b in itertools.product(range(9), repeat=2):
            for row, (a, b) in enumerate(people.tolist()):
                same_copy = copy_a == copy_b
                if drawn[copy_a] == a and drawn[copy_b] == b and (same_copy if a == b else not same_copy):
                    rows.append(cosines[row])
                    flags.append(a == b)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, tol=1e-9, max_iter=1000)).fit(rows, flags)
        slow.append(model[1].coef_[0] / model[0].scale_)
    # 1e-4: two runs of an iterative solver.
    np.testing.assert_allclose(found.standard_errors, np.std(slow, axis=0, ddof=1), rtol=1e-4)
    np.testing.assert_allclose(found.intervals.T, np.percentile(slow, [2.5, 97.5], axis=0), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_intervals_cover_known_weights_at_about_their_rate():
    """50 data sets of 60 identities whose own part is half of the variance, 3 weights each: 150 intervals of 95 %.

    Bounds: 0.95 less three standard errors of 150 (1.8 % each) and 3 % for the two ends of 30 resamples, and plus 3 %
    since the resampled identities err on the wide side. Intervals from the curvature of the loss, which take pairs for
    independent, must fall short on the same data: the reason for drawing identities.
    """
    rng, inside, inside_by_curvature = np.random.default_rng(0), [], []
    for _ in range(50):
        cosines, genuine, people = simulate(60, 1200, np.sqrt(0.5), rng)
        weights, intercept = fit_logistic(cosines, genuine, 1e3, np.ones(1200))  # as good as without a penalty
        spread = bootstrap_weights(as_found(weights, intercept, 1e3), cosines, genuine, people, 30, rng)
        inside.append((spread.intervals[:, 0] <= TRUE_WEIGHTS) & (spread.intervals[:, 1] >= TRUE_WEIGHTS))
        design = np.column_stack([cosines, np.ones(1200)])
        chance = 1 / (1 + np.exp(-(cosines @ weights + intercept)))
        curvature = (design.T * (chance * (1 - chance))) @ design
        error = np.sqrt(np.diag(np.linalg.inv(curvature)))[:3]
        inside_by_curvature.append(np.abs(weights - TRUE_WEIGHTS) <= 1.96 * error)
    assert 0.87 <= np.mean(inside) <= 0.98
    assert np.mean(inside_by_curvature) < 0.85


def test_weight_map_pixel_by_pixel():
    rng = np.random.default_rng(0)
    regions = [region for size in (28, 56) for region in unique_regions(size)]
    weights = dict(zip([region.name for region in regions], rng.normal(size=len(regions)).tolist(), strict=True))
    found = weight_map(weights)
    for x, y in rng.integers(112, size=(300, 2)).tolist():
        expected = 0.0
        for region in regions:
            squares = {(region.x, region.y), (112 - region.size_px - region.x, region.y)}
            for left, top in squares:  # one square where the region is its own mirror image
                if left <= x < left + region.size_px and top <= y < top + region.size_px:
                    expected += weights[region.name] / len(squares) / region.size_px**2
        assert found[y, x] == pytest.approx(expected, abs=1e-12)  # sums of at most 20 terms of order 1e-3
