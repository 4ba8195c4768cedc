"""Pooled blocks, the curve through their centres, and the calibration that has it."""

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.verification.calibration import fit_calibration
from pipeline_lib.matching.verification.isotonic_curve import log_odds_on, pooled, score_at


def test_golden_blocks():
    # 0.4 and 0.2 violate and pool to 0.3 at their mean score; the tie at 4 is one block of 0.5.
    blocks = pooled(np.array([1.0, 2.0, 0.0, 4.0, 4.0]), np.array([0.4, 0.2, 0.1, 0.0, 1.0]))
    np.testing.assert_allclose(blocks.means, [0.1, 0.3, 0.5])
    np.testing.assert_allclose(blocks.centres, [0.0, 1.5, 4.0])
    assert blocks.sizes.tolist() == [1, 2, 2]


def test_golden_two_pairs():
    # Targets 2/3 and 1/3 at ±1; between them the log odds are a line, beyond them the logistic one, which is the same.
    found = fit_calibration([1.0, -1.0], np.array([True, False]), "val", kind="isotonic")
    np.testing.assert_allclose(found.points, [(-1, -np.log(2)), (1, np.log(2))])
    assert found.threshold == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(found.probability([-3, 1, 3]), [1 / 9, 2 / 3, 8 / 9], atol=1e-8)  # Newton's slope


@pytest.mark.parametrize("seed", range(3))
def test_the_curve_rises_strictly_and_is_found_backwards(seed):
    rng = np.random.default_rng(seed)
    genuine = np.arange(300) < 100
    scores = (rng.normal(size=300) + 1.5 * genuine).round(1 if seed else 6)
    found = fit_calibration(scores, genuine, "val", kind="isotonic")
    assert len(found.points) > 4
    shown = np.linspace(scores.min() - 1, scores.max() + 1, 999)
    log_odds = log_odds_on(found.points, found.slope, shown)
    assert (np.diff(log_odds) > 0).all()
    back = [score_at(found.points, found.slope, value) for value in log_odds]
    np.testing.assert_allclose(back, shown, atol=1e-9)


@pytest.mark.parametrize("where", [-9.0, -0.7, 0.05, 0.6, 1.0, 9.0])
def test_at_any_threshold_a_match_is_above_one_half_and_nothing_else_is(where):
    """Within blocks, at their centres and beyond all scores, to the neighbouring float."""
    rng = np.random.default_rng(5)
    genuine = np.arange(200) < 100
    scores = rng.normal(size=200).round(1) * 0.3 + 0.5 * genuine
    even = fit_calibration(scores, genuine, "val", kind="isotonic")
    for threshold in (where, even.points[2][0], even.points[-1][0]):
        found = even.at_threshold(threshold)
        assert found.probability(threshold) == 0.5
        shown = np.sort([*scores, *np.linspace(-10, 10, 401), threshold + 1e-9, threshold - 1e-9])
        probabilities, matches = found.probability(shown), found.matches(shown)
        assert (np.diff(probabilities) >= 0).all()
        assert (probabilities[matches] > 0.5).all()
        assert (probabilities[~matches] <= 0.5).all()
        assert found.matches(np.nextafter(threshold, np.inf))
        assert found.probability(np.nextafter(threshold, np.inf)) > 0.5


def test_separable_and_equal_scores():
    parted = fit_calibration([0.9, 0.8, 0.2, 0.1], np.array([True, True, False, False]), "val", kind="isotonic")
    np.testing.assert_allclose(parted.points, [(0.15, -np.log(3)), (0.85, np.log(3))])  # targets 1/4 and 3/4
    assert parted.threshold == pytest.approx(0.5)
    assert np.isfinite(parted.log_ratio([-1e6, 1e6])).all()
    genuine = np.array([True, True, True, True, False, False])
    equal, logistic = (fit_calibration(np.full(6, 0.25), genuine, "val", kind=k) for k in ("isotonic", "logistic"))
    assert equal == logistic  # tells nothing by either
    assert equal.points == ()
    with pytest.raises(DataError, match="tells nothing"):
        equal.at_threshold(0.3)


def test_neighbouring_floats_keep_their_order():
    scores = np.array([0.1, np.nextafter(0.1, 1), 0.3, 0.3])
    centres = pooled(scores, np.array([0.0, 0.5, 1.0, 1.0])).centres
    assert (np.diff(centres) > 0).all()
