"""ROC, AUC, EER, TAR@FAR: values worked by hand, ties, edges and properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.roc import (
    area_under,
    equal_error_rate,
    roc_curve,
    tar_at_far,
    tars_at_fars,
    thinned,
)

# Six pairs with a tie between the classes at 0.8.
SCORES = [0.9, 0.8, 0.8, 0.6, 0.4, 0.1]
GENUINE = np.array([True, False, True, True, False, False])


def test_golden_curve_with_a_tie():
    roc = roc_curve(SCORES, GENUINE)
    assert roc.thresholds.tolist() == [np.inf, 0.9, 0.8, 0.6, 0.4, 0.1]
    np.testing.assert_allclose(roc.far, [0, 0, 1 / 3, 1 / 3, 2 / 3, 1], rtol=0, atol=1e-15)  # rounding of thirds
    np.testing.assert_allclose(roc.tar, [0, 1 / 3, 2 / 3, 1, 1, 1], rtol=0, atol=1e-15)
    assert (roc.num_genuine, roc.num_impostor) == (3, 3)


def test_golden_auc_counts_a_tie_as_half():
    # 0.9 beats 3 impostors, 0.8 beats 2 and ties 1, 0.6 beats 2: (3 + 2.5 + 2) / 9.
    assert area_under(roc_curve(SCORES, GENUINE)) == pytest.approx(7.5 / 9, abs=1e-15)


def test_golden_equal_error_rate_at_an_operating_point():
    rate, threshold = equal_error_rate(roc_curve(SCORES, GENUINE))
    assert rate == pytest.approx(1 / 3, abs=1e-15)
    assert threshold == 0.8


def test_golden_equal_error_rate_between_two_points():
    # FAR 0 -> 1/2 at TAR 2/3: FAR = 1 - TAR is met at 1/3.
    rate, threshold = equal_error_rate(roc_curve([0.9, 0.8, 0.5, 0.3, 0.1], np.array([True, True, False, True, False])))
    assert rate == pytest.approx(1 / 3, abs=1e-15)
    assert threshold == 0.5  # |FAR - FRR| is 1/6 there, 1/3 at 0.8


@pytest.mark.parametrize("order", [1, -1])
def test_equal_scores_tell_nothing_whatever_their_order(order):
    roc = roc_curve(np.full(4, 0.3), np.array([True, True, False, False])[::order])
    assert area_under(roc) == 0.5
    assert equal_error_rate(roc)[0] == 0.5


def test_perfect_and_perfectly_wrong_scores():
    genuine = np.array([True, True, False])
    right, wrong = roc_curve([3, 2, 1], genuine), roc_curve([1, 2, 3], genuine)
    assert (area_under(right), equal_error_rate(right)[0]) == (1.0, 0.0)
    assert (area_under(wrong), equal_error_rate(wrong)[0]) == (0.0, 1.0)


def test_tar_at_far_takes_the_last_point_within_the_rate():
    roc = roc_curve(SCORES, GENUINE)
    assert tar_at_far(roc, 1 / 3) == 1.0
    assert tar_at_far(roc, 0.5) == 1.0
    assert tar_at_far(roc, 0.3) is None  # three impostors cannot show 0.3


def test_rates_below_the_number_of_impostors_are_left_out():
    scores = np.concatenate([np.linspace(0.5, 1, 10), np.linspace(0, 0.4, 100)])
    tars = tars_at_fars(roc_curve(scores, np.arange(110) < 10), [0.1, 0.01, 0.0099, 0.001])
    assert tars == {"tar@0.1": 1.0, "tar@0.01": 1.0}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_refused(bad):
    with pytest.raises(DataError, match=r"NaN or infinite[\s\S]*\[1\]"):
        roc_curve([0.1, bad, 0.3], np.array([True, False, True]))


@pytest.mark.parametrize("genuine", [[True, True], [False, False], []])
def test_one_class_is_refused(genuine):
    with pytest.raises(DataError, match="both genuine and impostor"):
        roc_curve(np.zeros(len(genuine)), np.array(genuine, bool))


@pytest.mark.parametrize(
    ("scores", "genuine"),
    [
        (np.zeros(3), np.array([True, False])),
        (np.zeros((2, 1)), np.array([True, False])),
        (np.zeros(2), np.array([1, 0])),
    ],
)
def test_wrong_shapes_and_types_are_refused(scores, genuine):
    with pytest.raises(DataError, match="do not belong together"):
        roc_curve(scores, genuine)


labelled = st.lists(st.tuples(st.integers(-8, 8), st.booleans()), min_size=2, max_size=40).filter(
    lambda pairs: len({label for _, label in pairs}) == 2
)


@settings(max_examples=60, deadline=None)
@given(labelled)
def test_auc_and_eer_depend_on_the_order_of_scores_only(pairs):
    scores, genuine = np.array([score for score, _ in pairs], float), np.array([label for _, label in pairs])
    roc = roc_curve(scores, genuine)
    for monotone in (np.exp(scores / 4), scores**3 + scores):
        assert area_under(roc_curve(monotone, genuine)) == area_under(roc)
        assert equal_error_rate(roc_curve(monotone, genuine))[0] == equal_error_rate(roc)[0]
    # Reversed scores mirror the curve; the tolerance is the rounding of up to 40 trapezoids.
    assert area_under(roc_curve(-scores, genuine)) == pytest.approx(1 - area_under(roc), abs=1e-12)


def test_thinned_curve_keeps_ends_and_shape():
    rng = np.random.default_rng(0)
    genuine = np.arange(20000) < 4000
    roc = roc_curve(rng.normal(size=20000) + 1.5 * genuine, genuine)
    kept = thinned(roc, 300)
    assert len(kept) <= 300
    assert (kept[0], kept[-1]) == (0, len(roc.far) - 1)
    assert (np.diff(kept) > 0).all()
    # Linear axes: 149 even FAR steps, between which the concave curve is nearly straight but for the first.
    redrawn = np.interp(roc.far, roc.far[kept], roc.tar[kept])
    assert np.abs(redrawn - roc.tar).max() < 0.02
    # A logarithmic axis still has points down to the rarest impostor.
    assert roc.far[kept][roc.far[kept] > 0].min() == 1 / roc.num_impostor


def test_short_curves_are_reduced_to_their_corners():
    roc = roc_curve([5, 4, 3, 2, 1, 0], np.array([True, True, True, False, False, False]))
    kept = thinned(roc, 300)
    assert list(zip(roc.far[kept].tolist(), roc.tar[kept].tolist(), strict=True)) == [(0, 0), (0, 1), (1, 1)]
    with pytest.raises(DataError):
        thinned(roc, 3)
