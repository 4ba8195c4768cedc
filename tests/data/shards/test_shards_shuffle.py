"""Orders by place: permutations, even ones, that any part of gives alone."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.data.shards.shuffle import mixed, shuffled

SEEDS = st.integers(-(2**70), 2**70)


@given(num=st.integers(1, 2000), seed=SEEDS, epoch=st.integers(0, 2**32))
def test_every_number_stands_at_one_place(num, seed, epoch):
    assert sorted(shuffled(np.arange(num), num, seed, epoch)) == list(range(num))


@given(num=st.integers(1, 10**12), places=st.lists(st.integers(0, 10**12), max_size=20), seed=SEEDS)
def test_a_part_is_what_stands_there_in_the_whole(num, places, seed):
    wanted = np.array(places, np.int64) % num
    together = shuffled(wanted, num, seed, 3)
    assert ((together >= 0) & (together < num)).all()
    assert together.tolist() == [shuffled(np.array([place]), num, seed, 3)[0] for place in wanted]
    assert len(set(together.tolist())) == len(set(wanted.tolist()))


def test_all_orders_of_four_are_as_likely():
    counts = Counter(tuple(shuffled(np.arange(4), 4, seed, 0).tolist()) for seed in range(2400))
    assert len(counts) == 24
    # chi-square of 23 degrees of freedom: mean 23, standard deviation 6.8; five of them above
    assert sum((count - 100) ** 2 / 100 for count in counts.values()) < 57


def test_neighbours_of_an_order_are_no_neighbours_before():
    order = shuffled(np.arange(100_000), 100_000, 1, 2)
    steps = np.diff(order)
    # two random numbers of n differ by +-1 with probability 2/n: two such steps are expected, of Poisson's law
    assert (np.abs(steps) == 1).sum() < 12
    # neighbouring differences of a random order are correlated by -1/2, to 1/sqrt(n) = 0.003; five of these
    assert abs(np.corrcoef(steps[:-1], steps[1:])[0, 1] + 0.5) < 0.016
    for lag in (1, 2, 316, 317, 318):  # the network's rows are of 317
        assert abs(np.corrcoef(order[lag:], order[:-lag])[0, 1]) < 0.016


def test_golden():
    """SplitMix64 of seed 0 gives 0xE220A8397B1DCDAF first: the finaliser of its first state, the golden ratio."""
    assert mixed(np.array([0x9E3779B97F4A7C15], np.uint64))[0] == 0xE220A8397B1DCDAF
