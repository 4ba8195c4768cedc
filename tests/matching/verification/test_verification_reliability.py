"""Cllr, its minimum, calibration error and the bins of reliability."""

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.verification.calibration import fit_calibration
from pipeline_lib.matching.verification.likelihood import cllr, min_cllr, probabilities
from pipeline_lib.matching.verification.reliability import bins_of, calibration_error, reliability, wilson


def drawn(num: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    genuine = np.arange(num) < num // 3
    return (rng.normal(size=num) + 1.5 * genuine).round(1), genuine


def test_golden_cllr():
    genuine = np.array([True, False])
    assert cllr([0.0, 0.0], genuine) == 1.0  # nothing told
    assert cllr([np.log(3), -np.log(3)], genuine) == pytest.approx(np.log2(4 / 3))
    assert cllr([-np.log(3), np.log(3)], genuine) == pytest.approx(2.0)  # log2(1 + 3)
    assert cllr([800.0, -800.0], genuine) == 0.0
    assert cllr([-800.0, 800.0], genuine) == pytest.approx(800 / np.log(2))  # no overflow


def test_golden_min_cllr():
    # By score: impostor | genuine, impostor | genuine. The middle block has LR 1, a bit each; the others cost nothing.
    scores, genuine = [3, 1, 2, 0], np.array([True, True, False, False])
    assert min_cllr(scores, genuine) == pytest.approx(0.5)
    assert min_cllr([4, 3, 2, 1], genuine) == 0.0
    assert min_cllr([1, 1, 1, 1], genuine) == pytest.approx(1.0)
    assert min_cllr([1, 2, 3, 4], genuine) == pytest.approx(1.0)  # the wrong way round tells nothing


@pytest.mark.parametrize("seed", range(3))
def test_no_rising_calibration_is_below_min_cllr(seed):
    scores, genuine = drawn(seed=seed)
    least = min_cllr(scores, genuine)
    assert least == pytest.approx(min_cllr(np.exp(3 * scores), genuine))
    for kind in ("logistic", "isotonic"):
        assert least <= cllr(fit_calibration(scores, genuine, "val", kind=kind).log_ratio(scores), genuine) < 1


def test_probabilities_follow_the_share():
    np.testing.assert_allclose(probabilities(np.log([1.0, 3.0]), 0.5), [0.5, 0.75])
    np.testing.assert_allclose(probabilities(np.log([1.0, 9.0]), 0.1), [0.1, 0.5])
    with pytest.raises(DataError, match="share of both"):
        probabilities([0.0], 1.0)


def test_one_class_nan_and_shapes_are_refused():
    for function in (cllr, min_cllr):
        with pytest.raises(DataError, match="both genuine and impostor"):
            function([0.1, 0.2], np.array([True, True]))
        with pytest.raises(DataError, match="NaN"):
            function([0.1, np.nan], np.array([True, False]))
        with pytest.raises(DataError, match="belong together"):
            function([0.1], np.array([True, False]))


def test_golden_bins():
    chances = np.array([0.0, 0.05, 0.1, 0.95, 1.0])
    assert bins_of(chances).tolist() == [0, 0, 1, 9, 9]
    first, second, last = reliability(chances, np.array([False, True, False, True, True]))
    assert first[:6] == (0.0, 0.1, 2, 1, 0.025, 0.5)
    assert (second.num_pairs, second.share, last.high, last.share) == (1, 0.0, 1.0, 1.0)
    assert second.share_low == 0.0 < second.share_high
    assert last.share_low < 1.0 == last.share_high


def test_golden_wilson():
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)  # as in tables
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)


def test_golden_calibration_error():
    chances, genuine = np.array([0.25, 0.25, 0.75, 0.75]), np.array([False, True, True, True])
    # A quarter off in either bin; without its impostor the first is three quarters off in a third of the pairs.
    weights = np.array([[1, 0], [1, 1], [1, 1], [1, 1]], float)
    np.testing.assert_allclose(calibration_error(chances, genuine, weights), [0.25, 0.75 / 3 + 0.25 * 2 / 3])


def test_probabilities_that_hold_have_errors_of_chance_only():
    rng = np.random.default_rng(0)
    chances = rng.uniform(size=20_000)
    genuine = rng.uniform(size=20_000) < chances
    # A bin of 2,000 is off by 0.01 at most, by one standard error.
    assert calibration_error(chances, genuine, np.ones((20_000, 1)))[0] < 0.02
