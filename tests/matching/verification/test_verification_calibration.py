"""Threshold and curve, logistic or isotonic, on validation pairs."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.verification.calibrated import KINDS
from pipeline_lib.matching.verification.calibration import (
    Calibration,
    fit_calibration,
    read_calibrations,
    write_calibrations,
)
from pipeline_lib.matching.verification.impostors import impostor_scores
from pipeline_lib.params.verify import Fmr


def test_golden_two_pairs():
    # Targets 2/3 and 1/3 at ±1: sigmoid(slope) = 2/3, so slope = log 2 and intercept 0.
    found = fit_calibration([1.0, -1.0], np.array([True, False]), "val")
    # 1e-8: Newton stops at a mean gradient of 1e-9, and the curvature is 0.22.
    assert found.slope == pytest.approx(np.log(2), abs=1e-8)
    assert found.intercept == pytest.approx(0.0, abs=1e-8)
    assert found.threshold == pytest.approx(0.0, abs=1e-8)
    assert (found.accuracy, found.auc, found.num_pairs) == (1.0, 1.0, 2)
    assert found.probability(1.0) == pytest.approx(2 / 3, abs=1e-8)


def test_the_mean_probability_is_the_mean_target():
    rng = np.random.default_rng(1)
    genuine = np.arange(500) < 200
    scores = rng.normal(size=500) * 0.2 + 0.4 * genuine
    found = fit_calibration(scores, genuine, "val")
    targets = np.where(genuine, 201 / 202, 1 / 302)
    residual = found.probability(scores) - targets
    # The two conditions of a minimum; 1e-6 is above the stopping gradient, 1e-9 a pair.
    assert abs(residual.sum()) < 1e-6
    assert abs((residual * scores).sum()) < 1e-6


def test_separable_scores_give_a_finite_curve():
    found = fit_calibration([0.9, 0.8, 0.2, 0.1], np.array([True, True, False, False]), "val")
    assert np.isfinite([found.slope, found.intercept]).all()
    assert found.slope > 0
    assert found.threshold == pytest.approx(0.5, abs=1e-9)  # of what stops Newton
    assert found.matches([0.51, 0.49]).tolist() == [True, False]


def test_equal_scores_give_the_base_rate():
    found = fit_calibration(np.full(6, 0.25), np.array([True, True, True, True, False, False]), "val")
    assert found.slope == 0.0
    # 4 targets of 5/6 and 2 of 1/4: above 1/2, so all are a match
    assert found.probability(0.25) == pytest.approx((4 * 5 / 6 + 2 / 4) / 6, abs=1e-9)
    assert found.matches(0.25)
    fewer_genuine = fit_calibration(np.full(6, 0.25), np.array([True, True, False, False, False, False]), "val")
    assert fewer_genuine.probability(0.25) < 0.5
    assert not fewer_genuine.matches(0.25)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shift", [1.0, 0.2, 0.0, -0.2, -1.0])
@pytest.mark.parametrize("seed", range(4))
def test_decision_and_probability_agree(seed, shift, kind):
    """A match is above 1/2 and no match at most that, and more alike is never less probable, whatever the AUC."""
    rng = np.random.default_rng(seed)
    genuine = np.arange(120) < 60
    scores = rng.normal(size=120) * np.where(genuine, 1.5, 1.0) + shift * genuine
    found = fit_calibration(scores, genuine, "val", kind=kind)
    shown = np.sort(np.concatenate([scores, rng.uniform(scores.min(), scores.max(), 500)]))
    probabilities, matches = found.probability(shown), found.matches(shown)
    assert (np.diff(probabilities) >= 0).all()
    assert (probabilities[matches] > 0.5).all()
    assert (probabilities[~matches] <= 0.5).all()
    assert found.accuracy == np.mean(found.matches(scores) == genuine)
    if found.slope:
        assert found.probability(found.threshold) == pytest.approx(0.5, abs=1e-12)


def test_a_score_that_is_the_wrong_way_round_tells_nothing():
    found = fit_calibration([0.1, 0.2, 0.3, 0.4], np.array([True, True, False, False]), "val")
    assert (found.auc, found.slope, found.threshold) == (0.0, 0.0, 0.4)
    np.testing.assert_array_equal(found.probability([0.1, 0.4]), [0.5, 0.5])
    assert not found.matches([0.1, 0.4]).any()


def test_the_threshold_lies_in_the_middle_of_two_normal_classes():
    """Of one spread: there the odds are even. The threshold of the highest accuracy strays four times as far (0.04)."""
    thresholds = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        genuine = np.arange(280) < 140
        thresholds.append(fit_calibration(rng.normal(0.2 * genuine, 0.17), genuine, "val").threshold)
    assert np.mean(thresholds) == pytest.approx(0.1, abs=0.006)  # 0.010 a fit, over sqrt(30), three times
    assert np.std(thresholds) < 0.015


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_probabilities_do_not_depend_on_the_unit_of_the_score(factor):
    rng = np.random.default_rng(2)
    genuine = np.arange(60) < 30
    scores = rng.normal(size=60) + genuine
    plain = fit_calibration(scores, genuine, "val")
    scaled = fit_calibration(scores * factor + 3 * factor, genuine, "val")
    # 1e-6: both stop at a gradient of 1e-9 a pair, from slightly different rounding.
    np.testing.assert_allclose(scaled.probability(scores * factor + 3 * factor), plain.probability(scores), atol=1e-6)


def test_probability_neither_overflows_nor_leaves_the_unit_interval():
    found = Calibration(0.2, 5.0, -1.0, "val", 2, 1.0, 1.0, 0.5, "even odds", impostor_scores([0.0]))
    values = found.probability([-1e9, -1.0, 0.2, 1.0, 1e9])
    assert values[0] == 0.0
    assert values[2] == 0.5
    assert values[-1] == 1.0
    assert (np.diff(values) >= 0).all()


def test_one_class_and_nan_are_refused():
    with pytest.raises(DataError, match="both genuine and impostor"):
        fit_calibration([0.1, 0.2], np.array([True, True]), "val")
    with pytest.raises(DataError, match="NaN"):
        fit_calibration([0.1, np.nan], np.array([True, False]), "val")


def test_round_trip_and_damaged_files(tmp_path):
    path = tmp_path / "calibration.json"
    found = fit_calibration([1.0, -1.0], np.array([True, False]), "val")
    write_calibrations(path, {"cosine:net": found})
    assert read_calibrations(path) == {"cosine:net": found}
    fields = json.loads(path.read_text())["cosine:net"]
    figures = {"threshold", "slope", "intercept", "protocol", "num_pairs", "auc", "accuracy", "prior"}
    assert set(fields) == figures | {"decided_by", "impostors", "points", "genuine"}
    stepped = fit_calibration(*drawn(), "val", kind="isotonic")
    write_calibrations(path, {"cosine:net": stepped})
    assert read_calibrations(path) == {"cosine:net": stepped}
    del fields["points"], fields["genuine"]  # of an earlier version
    path.write_text(json.dumps({"cosine:net": fields}))
    old = read_calibrations(path)["cosine:net"]
    assert old == replace(found, genuine=None)
    assert old.misses() is None
    assert "pairs of one person" not in old.basis
    for damaged in ('{"cosine:net": {"threshold": 1}}', "[1]"):
        path.write_text(damaged)
        with pytest.raises(DataError, match="other keys"):
            read_calibrations(path)


def drawn(num: int = 400, seed: int = 3):
    rng = np.random.default_rng(seed)
    genuine = np.arange(num) < num // 2
    return rng.normal(0.3 * genuine, 0.15), genuine


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("decide", ["accuracy", "eer", Fmr(fmr=0.1), Fmr(fmr=0.005)])
def test_another_threshold_takes_the_probability_with_it(decide, kind):
    """P is 1/2 at it, and its odds are those of the even-odds curve times the prior's."""
    scores, genuine = drawn()
    even, found = (fit_calibration(scores, genuine, "val", how, kind) for how in ("even_odds", decide))
    assert found.probability(found.threshold) == 0.5
    assert (found.probability(scores)[found.matches(scores)] > 0.5).all()
    assert found.accuracy == np.mean(found.matches(scores) == genuine)
    shown = np.linspace(-0.2, 0.5, 9)
    odds, even_odds = (p / (1 - p) for p in (found.probability(shown), even.probability(shown)))
    # 1e-9: the odds of probabilities up to 1 - 1e-6, in doubles
    np.testing.assert_allclose(odds, even_odds * found.prior / (1 - found.prior), rtol=1e-9)
    assert (found.threshold > even.threshold) == (found.prior < even.prior)
    np.testing.assert_allclose(found.log_ratio(shown), even.log_ratio(shown), rtol=0, atol=1e-9)


def test_the_best_threshold_s_accuracy_is_the_best_and_equal_errors_are_equal():
    scores, genuine = drawn()
    best, equal = (fit_calibration(scores, genuine, "val", how) for how in ("accuracy", "eer"))
    assert all(np.mean((scores > t) == genuine) <= best.accuracy for t in scores)
    wrong = [np.mean(equal.matches(scores[~genuine])), np.mean(~equal.matches(scores[genuine]))]
    assert abs(wrong[0] - wrong[1]) <= 1.5 / 200  # the steps of either rate


@pytest.mark.parametrize("rate", [0.005, 0.02, 0.1, 0.33])
def test_a_false_match_rate_is_kept_on_the_pairs_it_was_asked_of(rate):
    scores, genuine = drawn()
    found = fit_calibration(scores, genuine, "val", Fmr(fmr=rate))
    assert np.mean(found.matches(scores[~genuine])) <= rate
    again = fit_calibration(scores, genuine, "val").at_fmr(rate)
    assert (again.threshold, again.prior) == (found.threshold, pytest.approx(found.prior))
    if rate < 0.055:  # of the first eleven every rank is kept: one more would be too many
        assert np.mean(scores[~genuine] >= found.threshold) > rate
    assert f"a false-match rate of {rate:g}" in found.basis


def test_what_cannot_be_told_is_refused():
    scores, genuine = drawn()
    found = fit_calibration(scores, genuine, "val")
    with pytest.raises(DataError, match=r"A false-match rate cannot be told[\s\S]*0\.001 with 200 pairs"):
        found.at_fmr(0.001)
    with pytest.raises(DataError, match="no number"):
        found.at_threshold(float("nan"))
    with pytest.raises(DataError, match="two ways to say one thing"):
        found.deciding(0.1, 0.3)
    nothing = fit_calibration(np.full(6, 0.25), np.array([True, True, True, True, False, False]), "val", "eer")
    with pytest.raises(DataError, match="tells nothing"):
        nothing.at_threshold(0.3)
    assert nothing.decided_by == "even odds"


def test_a_count_between_two_kept_scores_is_told_as_at_most():
    scores, genuine = drawn()
    found = fit_calibration(scores, genuine, "val").at_fmr(0.1)
    kept = found.impostors.thresholds
    between = found.at_threshold((kept[-1] + kept[-2]) / 2)
    above = int(np.sum(scores[~genuine] > between.threshold))
    assert "at most" not in found.basis.partition(" Of ")[0]
    assert f"at most {between.impostors.above(between.threshold)} of 200 pairs" in between.basis
    assert above < between.impostors.above(between.threshold)


def test_refused_pairs_of_one_person_are_counted():
    scores, genuine = drawn()
    found = fit_calibration(scores, genuine, "val")
    for threshold in np.sort(scores[genuine])[[0, 1, 5, 40, 99]]:  # a score at the threshold is refused
        missed, num = found.at_threshold(float(threshold)).misses()
        exact = int(np.sum(scores[genuine] <= threshold))
        assert num == 200
        assert exact <= missed <= max(exact + 1, 1.15 * exact)  # the table has 20 steps a decade
    assert found.at_threshold(-9.0).misses() == (0, 200)
    # at its own threshold both are counts, not bounds
    refused, accepted = (int(np.sum(found.matches(scores[genuine == kind]) != kind)) for kind in (True, False))
    assert (found.misses()[0], found.impostors.above(found.threshold)) == (refused, accepted)
    assert f"odds: {accepted} of" in found.basis
    assert f"Of 200 pairs of one person {refused} are not above it" in found.basis
