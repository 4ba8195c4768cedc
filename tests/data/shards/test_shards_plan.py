"""The epoch plan: every sample once, whatever the world."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.shards.plan import epoch_plan

SIZES = st.integers(1, 300)
SEEDS = st.integers(-5, 2**40)


@given(
    num_samples=SIZES, per_rank=st.integers(1, 40), num_ranks=st.integers(1, 3), seed=SEEDS, epoch=st.integers(0, 50)
)
def test_every_sample_once_but_for_the_stated_wrap(num_samples, per_rank, num_ranks, seed, epoch):
    plans = [epoch_plan(num_samples, num_ranks, rank, per_rank, seed, epoch) for rank in range(num_ranks)]
    global_batch = num_ranks * per_rank
    num_steps = -(-num_samples // global_batch)
    assert all(plan.shape == (num_steps, per_rank) and plan.dtype == np.int64 for plan in plans)
    order = np.concatenate(plans, axis=1).ravel()
    assert sorted(order[:num_samples]) == list(range(num_samples))
    wrapped = order[num_samples:]
    assert np.array_equal(wrapped, np.resize(order[:num_samples], len(wrapped)))  # from the order's own start
    assert max(Counter(order.tolist()).values()) <= -(-global_batch // num_samples) + 1


@given(num_samples=SIZES, share=st.integers(1, 10), seed=SEEDS)
def test_worlds_of_one_two_three_see_the_same_global_batches(num_samples, share, seed):
    global_batch = 6 * share
    alone = epoch_plan(num_samples, 1, 0, global_batch, seed, 4)
    for num_ranks in (2, 3):
        ranks = [
            epoch_plan(num_samples, num_ranks, rank, global_batch // num_ranks, seed, 4) for rank in range(num_ranks)
        ]
        assert np.array_equal(np.concatenate(ranks, axis=1), alone)


def test_epochs_and_seeds_differ_and_repeat():
    plans = {(seed, epoch): epoch_plan(100, 1, 0, 10, seed, epoch) for seed in (1, 2) for epoch in (0, 1, 2)}
    flat = {key: tuple(plan.ravel()) for key, plan in plans.items()}
    assert len(set(flat.values())) == 6
    assert np.array_equal(plans[1, 2], epoch_plan(100, 1, 0, 10, 1, 2))


def test_resuming_after_three_steps_is_the_rest_of_the_plan():
    whole = epoch_plan(1000, 2, 1, 16, 9, 3)
    resumed = epoch_plan(1000, 2, 1, 16, 9, 3)[3:]
    assert np.array_equal(whole[3:], resumed)
    assert not set(whole[:3].ravel()) & set(resumed[:-1].ravel())  # nothing comes twice (the last step holds the wrap)


def test_golden():
    """Pinned, so that a checkpoint's place in an epoch still means the same samples after a change."""
    assert epoch_plan(7, 2, 1, 2, seed=0, epoch=0).tolist() == [[3, 6], [1, 2]]


def test_one_sample_fills_a_batch():
    assert epoch_plan(1, 1, 0, 4, 0, 0).tolist() == [[0, 0, 0, 0]]


def test_the_order_is_shuffled():
    positions = np.argsort(epoch_plan(5000, 1, 0, 5000, 1, 1).ravel())
    # correlation of two independent orders of n has standard deviation 1/sqrt(n - 1) = 0.014; five of them
    assert abs(np.corrcoef(positions, np.arange(5000))[0, 1]) < 0.07


def test_no_samples_and_places_outside_the_world_are_refused():
    with pytest.raises(DataError, match="at least one sample"):
        epoch_plan(0, 1, 0, 4, 0, 0)
    for num_ranks, rank, batch in ((2, 2, 4), (2, -1, 4), (0, 0, 4), (1, 0, 0)):
        with pytest.raises(ValueError, match="no place in a world"):
            epoch_plan(10, num_ranks, rank, batch, 0, 0)
