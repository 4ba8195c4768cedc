"""The paired bootstrap: figures worked by hand, what is drawn anew, refusals, and whether its intervals cover the truth."""

import numpy as np
import pytest
from scipy.stats import norm

from pipeline_lib.core.bootstrap import interval
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.roc import area_under, roc_curve, tar_at_far
from pipeline_lib.matching.verification.paired_bootstrap import PairBootstrap, TooFewIdentities, TooFewImpostors
from pipeline_lib.matching.verification.ranked_pairs import RankedPairs
from pipeline_lib.matching.verification.threshold import best_threshold

GENUINE = np.array([True, True, False, False])
SCORES = np.array([0.9, 0.4, 0.6, 0.4])


def test_golden_auc():
    # Genuine 0.9 beats both impostors, 0.4 loses to 0.6 and ties with 0.4: (2 + 0.5) / 4.
    # Weights 1, 3 | 2, 1: 0.9 wins 1*(2+1), 0.4 ties 3*1/2: (3 + 1.5) / (4 * 3).
    weights = np.array([[1.0, 1, 1, 1], [1, 3, 2, 1]])
    np.testing.assert_allclose(RankedPairs(SCORES, GENUINE).auc(weights), [2.5 / 4, 4.5 / 12], rtol=1e-15)


def test_a_pair_of_weight_0_is_not_there():
    scores = np.array([*SCORES, -3.0, 7.0])
    genuine = np.array([*GENUINE, True, False])
    assert RankedPairs(scores, genuine).auc(np.array([[1.0, 1, 1, 1, 0, 0]])) == 2.5 / 4


def test_golden_accuracy():
    # Accepting 0.9 alone, or 0.9 and 0.6 with 0.4 (the tie enters whole): 3 and 2 of 4 are right. Weights 1, 3 | 2, 1: 0.9
    # alone 1 + 3 of 7, all 4 of 7, the same. Weights 1, 3 | 1, 1: all 4 of 6, 0.9 alone 3 of 6. Weights 1, 1 | 9, 9: nobody
    # 18 of 20, 0.9 alone 19 of 20.
    weights = np.array([[1.0, 1, 1, 1], [1, 3, 2, 1], [1, 3, 1, 1], [1, 1, 9, 9]])
    np.testing.assert_allclose(
        RankedPairs(SCORES, GENUINE).accuracy(weights), [3 / 4, 4 / 7, 4 / 6, 19 / 20], rtol=1e-15
    )
    # An impostor on top, and heavy: nobody is accepted.
    assert RankedPairs([0.1, 0.9], np.array([True, False])).accuracy(np.array([[1.0, 4.0]])).tolist() == [0.8]


def test_golden_tar_at_far():
    # Falling: genuine 0.9; impostor 0.6; the tie at 0.4 of a genuine with an impostor, which enters whole. Half of the impostors
    # may enter: 0.9 alone of two, then with weights 1, 3 | 2, 1 (0.6 is 2/3 of the impostors' weight) 0.9 alone of four; with
    # 1, 3 | 1, 2 0.6 is a third: the same four. A third allows it exactly, whatever the rounding.
    weights = np.array([[1.0, 1, 1, 1], [1, 3, 2, 1], [1, 3, 1, 2]])
    ranked = RankedPairs(SCORES, GENUINE)
    assert ranked.tar_at_far(weights, 0.5).tolist() == [0.5, 0.25, 0.25]
    assert ranked.tar_at_far(weights, 1.0).tolist() == [1.0, 1.0, 1.0]
    found = RankedPairs([0.9, 0.8, 0.7, 0.6, 0.5], np.array([False, True, False, True, False]))
    counted = np.array([[1.0, 1, 1, 1, 1], [2, 1, 1, 1, 1], [0, 1, 1, 1, 1]])
    np.testing.assert_allclose(found.tar_at_far(counted, 1 / 3), [0.5, 0.0, 0.5])
    assert found.tar_at_far(counted, 0.3).tolist() == [0.0, 0.0, 0.5]


def test_tar_at_far_is_the_tables_and_is_refused_where_impostors_cannot_tell_it():
    rng = np.random.default_rng(12)
    people, genuine = protocol(rng)
    scores = (genuine + rng.normal(size=len(genuine))).round(1)
    pairs = PairBootstrap(people, genuine, 20, rng)
    for rate in (0.0025, 0.01, 0.5):
        assert pairs.tar_at_far(scores, rate)[0] == tar_at_far(roc_curve(scores, genuine), rate)
    with pytest.raises(TooFewImpostors, match=r"400 for a FAR of 0\.002"):
        pairs.tar_at_far(scores, 0.002)


def protocol(rng, num_people=40, num_genuine=200, num_impostor=400):
    """Pairs of people, a number for each; and which are genuine."""
    first = rng.integers(num_people, size=num_genuine + num_impostor)
    genuine = np.arange(len(first)) < num_genuine
    steps = rng.integers(1, num_people, size=len(first))
    second = np.where(genuine, first, (first + steps) % num_people)
    return np.stack([first, second], axis=1), genuine


def test_the_first_value_is_that_of_the_tables():
    rng = np.random.default_rng(1)
    people, genuine = protocol(rng)
    cosines = np.clip(0.3 * genuine + rng.normal(0, 0.2, len(genuine)), -1, 1).round(2)
    pairs = PairBootstrap(people, genuine, 100, rng)
    assert pairs.auc(cosines)[0] == pytest.approx(area_under(roc_curve(cosines, genuine)), abs=1e-15)
    assert pairs.accuracy(cosines)[0] == pytest.approx(best_threshold(cosines, genuine)[1], abs=1e-15)
    assert (pairs.num_pairs, pairs.num_identities, len(pairs.times)) == (600, 40, 101)
    assert (pairs.times.sum(axis=1) == 40).all()


def test_the_same_score_differs_from_itself_by_nothing_on_any_resample():
    rng = np.random.default_rng(2)
    people, genuine = protocol(rng)
    scores = rng.normal(size=len(genuine)) + genuine
    pairs = PairBootstrap(people, genuine, 100, rng)
    shifted = pairs.auc(scores) - pairs.auc(np.tanh(scores))  # AUC sees ranks only
    assert interval(shifted[1:]) == (0.0, 0.0)


def test_equal_seeds_give_equal_resamples_whatever_is_measured_at_once(monkeypatch):
    people, genuine = protocol(np.random.default_rng(3))
    scores = np.random.default_rng(4).normal(size=len(genuine))
    once = PairBootstrap(people, genuine, 100, np.random.default_rng(5))
    monkeypatch.setattr("pipeline_lib.matching.verification.paired_bootstrap.MAX_WEIGHTS_AT_ONCE", 7 * len(genuine))
    blocks = PairBootstrap(people, genuine, 100, np.random.default_rng(5))
    np.testing.assert_array_equal(once.times, blocks.times)
    np.testing.assert_array_equal(once.auc(scores), blocks.auc(scores))
    other = PairBootstrap(people, genuine, 100, np.random.default_rng(6))
    assert (once.times != other.times).any()


def test_resamples_of_one_class_are_drawn_anew_and_counted():
    # Impostors are of persons 0 and 1 alone: without either a resample holds no impostor. Of 8 people that happens in
    # 1 - 2 * (7/8)^8 + (6/8)^8 = 0.59 of all cases with pairs of two people, so there more people meet: 0-1, 2-3, 4-5, 6-7.
    genuine = np.arange(12) < 8
    people = np.array([[i, i] for i in range(8)] + [[0, 1], [2, 3], [4, 5], [6, 7]])
    pairs = PairBootstrap(people, genuine, 2000, np.random.default_rng(7))
    met = pairs.times[:, ::2] * pairs.times[:, 1::2]
    assert (met.sum(axis=1) > 0).all()
    drawn = np.stack([np.bincount(row, minlength=8) for row in np.random.default_rng(8).integers(8, size=(20000, 8))])
    share = np.mean(~(drawn[:, ::2] * drawn[:, 1::2]).any(axis=1))
    assert pairs.num_redrawn / (2000 + pairs.num_redrawn) == pytest.approx(
        share, abs=0.02
    )  # 4 deviations of 2000 draws
    alone = people.copy()
    alone[8:] = [0, 1]
    with pytest.raises(TooFewIdentities, match=r"too few identities[\s\S]*of 8 identities"):
        PairBootstrap(alone, genuine, 2000, np.random.default_rng(7))


def test_refusals():
    people, genuine = protocol(np.random.default_rng(9))
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="genuine where, and only where"):
        PairBootstrap(people, ~genuine, 100, rng)
    with pytest.raises(DataError, match="do not belong together"):
        PairBootstrap(people[:-1], genuine, 100, rng)
    with pytest.raises(DataError, match="do not belong together"):
        PairBootstrap(people, genuine, 1, rng)
    with pytest.raises(DataError, match="NaN"):
        PairBootstrap(people, genuine, 100, rng).auc(np.full(len(genuine), np.nan))


SD_PERSON, SD_PAIR, SHIFTS = 0.5, 0.7, (1.6, 1.2)
SD_GENUINE, SD_IMPOSTOR = np.sqrt(SD_PERSON**2 + SD_PAIR**2), np.sqrt(2 * SD_PERSON**2 + SD_PAIR**2)


def true_auc(shift):
    return norm.cdf(shift / np.hypot(SD_GENUINE, SD_IMPOSTOR))


def true_accuracy(shift):
    """At the best threshold of a population with two impostor pairs a genuine one."""
    thresholds = np.linspace(-3, 3, 6001)
    right = norm.sf(thresholds, shift, SD_GENUINE) + 2 * norm.cdf(thresholds, 0, SD_IMPOSTOR)
    return right.max() / 3


def coverage(measure, num_runs=300, num_people=60, num_resamples=200):
    """How often the interval of A - B holds the true difference.

    A genuine pair of i scores shift + u_i + e, an impostor pair of i and j v_i + v_j + e. u, v and e are normal and drawn
    for A; B has half of the variance of each in common with A.
    """
    true = {"auc": true_auc, "accuracy": true_accuracy}[measure]
    truth = true(SHIFTS[0]) - true(SHIFTS[1])
    hits = []
    for run in range(num_runs):
        rng = np.random.default_rng([11, run])
        people, genuine = protocol(rng, num_people, 5 * num_people, 10 * num_people)
        drawn = [rng.normal(size=(2, size)) for size in (num_people, num_people, len(genuine))]
        figures = []
        for shift, (u, v, e) in zip(SHIFTS, ([a for a, _ in drawn], [(a + b) / 2**0.5 for a, b in drawn]), strict=True):
            same, other = shift + SD_PERSON * u[people[:, 0]], SD_PERSON * (v[people[:, 0]] + v[people[:, 1]])
            figures.append(np.where(genuine, same, other) + SD_PAIR * e)
        pairs = PairBootstrap(people, genuine, num_resamples, rng)
        best, other = (getattr(pairs, measure)(scores) for scores in figures)
        low, high = interval((best - other)[1:])
        hits.append(low <= truth <= high)
    return np.mean(hits)


@pytest.mark.parametrize("measure", ["auc", "accuracy"])
def test_intervals_cover_the_true_difference(measure):
    # 300 runs: 0.95 +- 0.038 are three deviations. Too wide, as PairBootstrap says they can be, is no failure.
    assert coverage(measure) >= 0.912
