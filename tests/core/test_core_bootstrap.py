"""Means over pairs on resamples of their identities: against loops over the drawn people, by hand, and at the edges."""

import numpy as np
import pytest

from pipeline_lib.core.bootstrap import IdentityBootstrap, interval
from pipeline_lib.core.errors import DataError

PEOPLE = np.array([["p", "p"], ["p", "p"], ["q", "q"], ["p", "q"], ["q", "r"]])
VALUES = np.array([1.0, 3.0, 5.0, 7.0, 9.0])


class Drawn:
    """A generator that draws what it is told."""

    def __init__(self, rows):
        self.rows = np.array(rows)

    def integers(self, high, size):
        assert self.rows.shape == size
        assert self.rows.max() < high
        return self.rows.copy()


def looped(people, values, drawn):
    """The mean over the data set that a resample would be: every copy of a person is a person."""
    names = sorted(set(people.ravel()))
    copies = [names[number] for number in drawn]
    kept = []
    for (a, b), value in zip(people, values, strict=True):
        if a == b:
            kept += [value for copy in copies if copy == a]
        else:
            kept += [value for one in copies for other in copies if (one, other) == (a, b)]
    return np.mean(kept) if kept else None


def test_means_are_those_of_the_drawn_people_and_resamples_without_a_pair_are_left_out():
    rows = np.random.default_rng(0).integers(3, size=(40, 3))
    rows[0] = [2, 2, 2]  # r alone has no pair
    found = IdentityBootstrap(PEOPLE, 40, Drawn(rows)).means(VALUES)
    expected = [looped(PEOPLE, VALUES, row) for row in rows]
    assert expected[0] is None
    np.testing.assert_allclose(found, [5.0, *(mean for mean in expected if mean is not None)], atol=1e-12)


def test_worked_by_hand():
    # p p q: p's pairs 1 and 3 count twice, q's 5 once, p-q's 7 twice (two copies of p meet q), q-r not at all.
    found = IdentityBootstrap(PEOPLE, 1, Drawn([[0, 0, 1]])).means(VALUES)
    assert found[1] == pytest.approx((2 * 1 + 2 * 3 + 5 + 2 * 7) / 7)


def test_methods_are_compared_on_the_same_resamples():
    bootstrap = IdentityBootstrap(PEOPLE, 200, np.random.default_rng(1))
    np.testing.assert_allclose(
        bootstrap.means(VALUES + 2) - bootstrap.means(VALUES), 2.0, atol=1e-12
    )  # however far they vary
    both = bootstrap.means(np.stack([VALUES, -VALUES], axis=1))
    np.testing.assert_array_equal(both[:, 0], -both[:, 1])
    estimate = bootstrap.estimate(VALUES)
    assert (estimate.low, estimate.high) == interval(bootstrap.means(VALUES)[1:])
    assert estimate.low < estimate.value == 5.0 < estimate.high


def test_an_interval_covers_the_mean_of_the_people_as_often_as_it_says():
    rng, hits = np.random.default_rng(2), 0
    for _ in range(200):
        people = np.repeat(np.arange(30), 4)
        values = rng.normal(size=30)[people] + 0.1 * rng.normal(size=120)  # a person's pairs are much alike
        estimate = IdentityBootstrap(np.stack([people, people], axis=1), 200, rng).estimate(values)
        hits += estimate.low <= 0.0 <= estimate.high
    assert 0.88 <= hits / 200 <= 0.99  # 95 %, sd 1.5 %, and percentile intervals of 30 people are a little short


def test_one_person_has_a_mean_and_no_interval():
    one = IdentityBootstrap(np.array([["p", "p"], ["p", "p"]]), 100, np.random.default_rng(0)).estimate([1.0, 2.0])
    assert one == (1.5, None, None)


@pytest.mark.parametrize("people", [np.empty((0, 2)), np.array(["p"]), np.zeros((3, 3))])
def test_no_pairs_are_refused(people):
    with pytest.raises(DataError, match="identities"):
        IdentityBootstrap(people, 10, np.random.default_rng(0))


@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0, 3.0, 4.0, np.nan], []])
def test_values_that_are_not_one_a_pair_are_refused(values):
    with pytest.raises(DataError, match="one finite value a pair"):
        IdentityBootstrap(PEOPLE, 10, np.random.default_rng(0)).means(values)


def test_a_band_is_the_estimates_of_its_points():
    rng = np.random.default_rng(3)
    people, curves = np.array([[0, 0], [1, 1], [2, 0], [1, 2]]), rng.normal(size=(4, 5))
    bootstrap = IdentityBootstrap(people, 200, np.random.default_rng(0))
    estimates = [bootstrap.estimate(values) for values in curves.T]
    np.testing.assert_allclose(np.transpose(bootstrap.band(curves)), estimates)
    one = IdentityBootstrap(np.array([[0, 0], [0, 0]]), 10, np.random.default_rng(0)).band(curves[:2])
    np.testing.assert_allclose(one[0], curves[:2].mean(axis=0))
    assert np.isnan(one[1:]).all()
