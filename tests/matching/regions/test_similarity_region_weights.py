"""Region weights: the regression."""

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.regions.logistic import fit_logistic
from pipeline_lib.matching.regions.weights import RegionWeights, fit_region_weights

POSITIONS = ["p28_x0_y0", "p28_x14_y28", "p56_x28_y28"]  # both sizes in one set


def planted(num: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cosines in which region 1 tells genuine from impostor pairs, region 2 a little, region 0 not."""
    genuine = np.arange(num) % 2 == 0
    noise = rng.normal(size=(num, 3)) * [0.3, 0.1, 0.2]
    return noise + genuine[:, None] * [0.0, 0.25, 0.1], genuine, np.arange(num) % 5


def test_the_planted_region_is_found():
    cosines, genuine, folds = planted(20000, np.random.default_rng(0))
    found = fit_region_weights(POSITIONS, cosines, genuine, folds, [1.0, 100.0])
    # Two normal classes of equal spread have the log-odds weight shift / variance: 0, 25 and 2.5. Tolerance: three
    # standard errors of 20000 pairs.
    assert (np.abs(found.weights - [0.0, 25.0, 2.5]) < [0.3, 1.2, 0.4]).all()
    assert np.mean((found.score(cosines) + found.intercept > 0) == genuine) > 0.89


def test_weights_are_in_units_of_the_cosines_as_they_are():
    cosines, genuine, folds = planted(400, np.random.default_rng(1))
    plain = fit_region_weights(POSITIONS, cosines, genuine, folds, [1.0])
    scaled = fit_region_weights(POSITIONS, cosines * [1.0, 0.1, 1.0] + [0.5, 0, 0], genuine, folds, [1.0])
    # Inputs are standardised, so both are one problem; 1e-3: the solver's tolerance.
    np.testing.assert_allclose(scaled.weights, plain.weights * [1, 10, 1], rtol=1e-3, atol=1e-3)
    assert scaled.intercept == pytest.approx(plain.intercept - 0.5 * plain.weights[0], rel=1e-3)


def test_cross_validation_prefers_a_strong_penalty_on_noise():
    rng = np.random.default_rng(3)
    cosines, genuine = rng.normal(size=(60, 3)), np.arange(60) % 2 == 0
    found = fit_region_weights(POSITIONS, cosines, genuine, np.arange(60) // 12, [1e-4, 1e4])
    assert found.strength == 1e-4
    assert found.log_losses[1e-4] == pytest.approx(np.log(2), abs=0.01)  # nearly no weight: both classes equally likely
    assert found.log_losses[1e4] > found.log_losses[1e-4]


def test_a_region_that_never_varies_gets_no_weight():
    cosines, genuine, folds = planted(200, np.random.default_rng(4))
    cosines[:, 0] = 0.7
    assert fit_region_weights(POSITIONS, cosines, genuine, folds, [1.0]).weights[0] == pytest.approx(0.0, abs=1e-9)


def test_golden_score():
    weights = RegionWeights(POSITIONS, np.array([1.0, 2.0, -0.5]), 9.0, 1.0, {1.0: 0.1})
    assert weights.score([[0.5, 0.25, 1.0]]).tolist() == [0.5]
    with pytest.raises(DataError, match="do not fit"):
        weights.score([[0.5, 0.25]])
    with pytest.raises(DataError, match="do not fit"):
        weights.score([[0.5, 0.25, np.nan]])


def test_refusals():
    cosines, genuine, folds = planted(40, np.random.default_rng(0))
    with pytest.raises(DataError, match=r"NaN[\s\S]*\[7\]"):
        fit_region_weights(POSITIONS, np.where(np.arange(40)[:, None] == 7, np.nan, cosines), genuine, folds, [1.0])
    with pytest.raises(DataError, match="do not belong together"):
        fit_region_weights(POSITIONS[:2], cosines, genuine, folds, [1.0])
    with pytest.raises(DataError, match="do not belong together"):
        fit_region_weights([POSITIONS[0]] * 3, cosines, genuine, folds, [1.0])
    with pytest.raises(DataError, match="single class"):
        fit_region_weights(POSITIONS, cosines, np.ones(40, bool), folds, [1.0])
    with pytest.raises(DataError, match="single class"):
        fit_region_weights(POSITIONS, cosines, genuine, np.zeros(40, int), [1.0])  # one fold leaves nothing to fit on


def test_a_count_stands_for_so_many_rows():
    cosines, genuine, _ = planted(60, np.random.default_rng(5))
    counts = np.arange(60) % 3 + 1
    weights, intercept = fit_logistic(cosines, genuine, 0.5, counts.astype(float))
    repeated = np.repeat(np.arange(60), counts)
    expected, constant = fit_logistic(cosines[repeated], genuine[repeated], 0.5, np.ones(len(repeated)))
    # Mean, σ and loss are one and the same; 1e-5: the solver stops at a gradient of 1e-8.
    np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-5)
    assert intercept == pytest.approx(constant, abs=1e-5)
