"""Weights that are not below 0: conditions of the minimum, a second solver, edges."""

import numpy as np
import pytest
from scipy.optimize import minimize

from pipeline_lib.matching.regions.logistic import fit_logistic
from pipeline_lib.matching.regions.non_negative import fit_non_negative


def drawn(seed: int, num: int = 300):
    """Five features: two that speak for a match, one against, two copies of the first two with noise."""
    rng = np.random.default_rng(seed)
    genuine = np.arange(num) % 2 == 0
    base = rng.normal(size=(num, 3)) + genuine[:, None] * [1.0, 0.5, -0.7]
    features = np.concatenate([base, base[:, :2] + rng.normal(size=(num, 2))], axis=1)
    return features, genuine, rng.integers(1, 4, size=num).astype(float)


@pytest.mark.parametrize("strength", [0.001, 0.1, 10.0])
@pytest.mark.parametrize("seed", range(2))
def test_karush_kuhn_tucker(seed, strength):
    features, genuine, counts = drawn(seed)
    weights, intercept = fit_non_negative(features, genuine, strength, counts)
    chances = 1 / (1 + np.exp(-(features @ weights + intercept)))
    residual = counts * (chances - genuine)
    gradient = weights / strength + residual @ features
    small = 1e-5 * counts.sum()  # the search ends at 1e-9 of the mean loss or where a step no longer lowers it
    assert abs(residual.sum()) < small
    assert (weights >= 0).all()
    assert np.abs(gradient[weights > 0]).max() < small
    assert (gradient[weights == 0] > -small).all()
    assert weights[2] == 0.0  # it speaks against a match


@pytest.mark.parametrize("strength", [0.01, 1.0])
def test_against_squares(strength):
    """Another method: w = v², without bounds, by a method without gradients of ours."""
    features, genuine, counts = drawn(3)

    def loss(weights: np.ndarray, intercept: float) -> float:
        margins = np.where(genuine, 1, -1) * (features @ weights + intercept)
        return float(0.5 * weights @ weights + strength * np.sum(counts * np.log1p(np.exp(-margins))))

    slow = minimize(lambda v: loss(v[:5] ** 2, v[5]), np.append(np.full(5, 0.5), 0.0), method="BFGS", tol=1e-7)
    weights, intercept = fit_non_negative(features, genuine, strength, counts)
    assert loss(weights, intercept) <= slow.fun + 1e-6
    np.testing.assert_allclose(weights, slow.x[:5] ** 2, atol=2e-3)  # differences of the loss give v to 1e-4


def test_it_is_the_plain_fit_where_that_has_no_weight_below_zero():
    features, genuine, counts = drawn(1)
    kept = features[:, [0, 1]]
    plain, below = (fit_logistic(kept, genuine, 1.0, counts, way) for way in (False, True))
    assert (plain[0] > 0).all()
    np.testing.assert_allclose(below[0], plain[0], atol=1e-4)
    assert below[1] == pytest.approx(plain[1], abs=1e-4)


def test_where_everything_speaks_against_a_match_all_weights_are_zero():
    features, genuine, counts = drawn(2)
    weights, intercept = fit_non_negative(-features[:, :2], genuine, 1.0, counts)
    assert weights.tolist() == [0.0, 0.0]
    share = counts[genuine].sum() / counts.sum()
    assert intercept == pytest.approx(np.log(share / (1 - share)), abs=1e-4)
