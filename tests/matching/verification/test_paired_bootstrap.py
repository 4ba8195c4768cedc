"""The paired bootstrap: figures worked by hand, what is drawn anew, refusals, and whether its intervals cover the truth."""

import numpy as np
import pytest
from scipy.stats import norm

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.roc import area_under, roc_curve
from pipeline_lib.matching.verification.kfold import cosine_fold_accuracy
from pipeline_lib.matching.verification.paired_bootstrap import PairBootstrap, TooFewIdentities, interval
from pipeline_lib.matching.verification.weighted_figures import measurable, weighted_auc, weighted_fold_accuracy

GENUINE = np.array([True, True, False, False])
SCORES = np.array([0.9, 0.4, 0.6, 0.4])


def test_golden_auc():
    # Genuine 0.9 beats both impostors, 0.4 loses to 0.6 and ties with 0.4: (2 + 0.5) / 4.
    # Weights 1, 3 | 2, 1: 0.9 wins 1*(2+1), 0.4 ties 3*1/2: (3 + 1.5) / (4 * 3).
    weights = np.array([[1.0, 1, 1, 1], [1, 3, 2, 1]])
    np.testing.assert_allclose(weighted_auc(SCORES, GENUINE, weights), [2.5 / 4, 4.5 / 12], rtol=1e-15)


def test_a_pair_of_weight_0_is_not_there():
    scores = np.array([*SCORES, -3.0, 7.0])
    genuine = np.array([*GENUINE, True, False])
    assert weighted_auc(scores, genuine, np.array([[1.0, 1, 1, 1, 0, 0]])) == 2.5 / 4


def test_golden_accuracy():
    # Squared distances 0.25, 1.0 | 0.8, 1.8 (genuine, impostor of each fold), as in the tests of kfold. Fold 1 is separated
    # first by d < 0.81, which judges all of fold 0 rightly; fold 0 first by d < 0.26, which refuses fold 1's genuine pair.
    cosines, genuine, folds = np.array([0.875, 0.5, 0.6, 0.1]), np.array([True, False, True, False]), [0, 0, 1, 1]
    # In the second row fold 1's impostor counts 4 times: the same thresholds, accuracies 1 and 4/5.
    # In the third fold 0's impostor is gone, so fold 1 has no threshold and fold 0, all genuine, is judged by fold 1's.
    weights = np.array([[1.0, 1, 1, 1], [1, 1, 1, 4], [2, 0, 1, 1]])
    found = weighted_fold_accuracy(cosines, genuine, folds, weights)
    np.testing.assert_allclose(found, [0.75, 0.9, 1.0], rtol=1e-15)


def test_what_can_be_measured():
    genuine, folds = np.array([True, False, True, False]), np.array([0, 0, 1, 1])
    rows = np.array([[1.0, 1, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 1, 0, 0], [2, 0, 1, 1]])
    # All; genuine only; impostors only; one fold only, with no other to judge it by; fold 0 by fold 1.
    assert measurable(genuine, folds, rows).tolist() == [True, False, False, False, True]
    assert measurable(genuine, np.zeros(4, int), rows).tolist() == [True, False, False, True, True]


def protocol(rng, num_people=40, num_genuine=200, num_impostor=400, num_folds=10):
    """Pairs whose identities are in one fold each."""
    first = rng.integers(num_people, size=num_genuine + num_impostor)
    genuine = np.arange(len(first)) < num_genuine
    # An impostor's number is the first one's plus a multiple of the folds: another person of the same fold.
    steps = num_folds * rng.integers(1, num_people // num_folds, size=len(first))
    second = np.where(genuine, first, (first + steps) % num_people)
    return np.stack([first, second], axis=1), genuine, first % num_folds


def test_the_first_value_is_that_of_the_tables():
    rng = np.random.default_rng(1)
    people, genuine, folds = protocol(rng)
    cosines = np.clip(0.3 * genuine + rng.normal(0, 0.2, len(genuine)), -1, 1).round(2)
    pairs = PairBootstrap(people, genuine, folds, 100, rng)
    assert pairs.auc(cosines)[0] == pytest.approx(area_under(roc_curve(cosines, genuine)), abs=1e-15)
    assert pairs.accuracy(cosines)[0] == pytest.approx(cosine_fold_accuracy(cosines, genuine, folds).mean, abs=1e-15)
    assert (pairs.num_pairs, pairs.num_identities, pairs.num_folds, len(pairs.times)) == (600, 40, 10, 101)
    assert (pairs.times.sum(axis=1) == 40).all()


def test_the_same_score_differs_from_itself_by_nothing_on_any_resample():
    rng = np.random.default_rng(2)
    people, genuine, folds = protocol(rng)
    scores = rng.normal(size=len(genuine)) + genuine
    pairs = PairBootstrap(people, genuine, folds, 100, rng)
    shifted = pairs.auc(scores) - pairs.auc(np.tanh(scores))  # AUC sees ranks only
    assert interval(shifted[1:]) == (0.0, 0.0)


def test_equal_seeds_give_equal_resamples_whatever_is_measured_at_once(monkeypatch):
    people, genuine, folds = protocol(np.random.default_rng(3))
    scores = np.random.default_rng(4).normal(size=len(genuine))
    once = PairBootstrap(people, genuine, folds, 100, np.random.default_rng(5))
    monkeypatch.setattr("pipeline_lib.matching.verification.paired_bootstrap.MAX_WEIGHTS_AT_ONCE", 7 * len(genuine))
    blocks = PairBootstrap(people, genuine, folds, 100, np.random.default_rng(5))
    np.testing.assert_array_equal(once.times, blocks.times)
    np.testing.assert_array_equal(once.auc(scores), blocks.auc(scores))
    other = PairBootstrap(people, genuine, folds, 100, np.random.default_rng(6))
    assert (once.times != other.times).any()


def test_resamples_of_one_class_are_drawn_anew_and_counted():
    # Impostors are of persons 0 and 1 alone: without either a resample holds no impostor. Of 8 people that happens in
    # 1 - 2 * (7/8)^8 + (6/8)^8 = 0.59 of all cases with pairs of two people, so there more people meet: 0-1, 2-3, 4-5, 6-7.
    genuine = np.arange(12) < 8
    people = np.array([[i, i] for i in range(8)] + [[0, 1], [2, 3], [4, 5], [6, 7]])
    folds = np.zeros(12, int)
    pairs = PairBootstrap(people, genuine, folds, 2000, np.random.default_rng(7))
    met = pairs.times[:, ::2] * pairs.times[:, 1::2]
    assert (met.sum(axis=1) > 0).all()
    drawn = np.stack([np.bincount(row, minlength=8) for row in np.random.default_rng(8).integers(8, size=(20000, 8))])
    share = np.mean(~(drawn[:, ::2] * drawn[:, 1::2]).any(axis=1))
    assert pairs.num_redrawn / (2000 + pairs.num_redrawn) == pytest.approx(share, abs=0.02)  # 4 deviations of 2000 draws
    alone = people.copy()
    alone[8:] = [0, 1]
    with pytest.raises(TooFewIdentities, match=r"too few identities[\s\S]*of 8 identities"):
        PairBootstrap(alone, genuine, folds, 2000, np.random.default_rng(7))


def test_refusals():
    people, genuine, folds = protocol(np.random.default_rng(9))
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="genuine where, and only where"):
        PairBootstrap(people, ~genuine, folds, 100, rng)
    with pytest.raises(DataError, match="do not belong together"):
        PairBootstrap(people[:-1], genuine, folds, 100, rng)
    with pytest.raises(DataError, match="do not belong together"):
        PairBootstrap(people, genuine, folds, 1, rng)
    with pytest.raises(DataError, match="NaN"):
        PairBootstrap(people, genuine, folds, 100, rng).auc(np.full(len(genuine), np.nan))
    with pytest.raises(DataError, match="two folds"):
        PairBootstrap(people, genuine, np.zeros_like(folds), 100, rng).accuracy(np.zeros(len(genuine)))


def coverage(num_runs=300, num_people=60, num_resamples=200):
    """How often the interval of AUC(A) - AUC(B) holds the true difference.

    A genuine pair of i scores shift + u_i + e, an impostor pair of i and j v_i + v_j + e. u, v and e are normal and drawn
    for A; B has half of the variance of each in common with A. So AUC = Phi(shift / sd of the difference of the two kinds).
    """
    hits = []
    sd_person, sd_pair = 0.5, 0.7
    sd = np.sqrt(3 * sd_person**2 + 2 * sd_pair**2)
    truth = norm.cdf(1.6 / sd) - norm.cdf(1.2 / sd)
    for run in range(num_runs):
        rng = np.random.default_rng([11, run])
        people, genuine, folds = protocol(rng, num_people, 5 * num_people, 10 * num_people)

        def mixed(size, rng=rng):
            common, own = rng.normal(size=(2, size))
            return common, (common + own) / np.sqrt(2)

        by_person, by_other, by_pair = mixed(num_people), mixed(num_people), mixed(len(genuine))
        scores = []
        for shift, u, v, e in zip((1.6, 1.2), by_person, by_other, by_pair, strict=True):
            same = shift + sd_person * u[people[:, 0]]
            other = sd_person * (v[people[:, 0]] + v[people[:, 1]])
            scores.append(np.where(genuine, same, other) + sd_pair * e)
        pairs = PairBootstrap(people, genuine, folds, num_resamples, rng)
        low, high = interval((pairs.auc(scores[0]) - pairs.auc(scores[1]))[1:])
        hits.append(low <= truth <= high)
    return np.mean(hits)


def test_intervals_cover_the_true_difference():
    # 300 runs: 0.95 +- 0.038 are three deviations. Too wide by what PairBootstrap says of impostors is allowed for above.
    assert 0.91 <= coverage() <= 0.995
