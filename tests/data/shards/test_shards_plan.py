"""The epoch plan: no sample twice, whatever the world."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.shards.plan import epoch_plan, steps_per_epoch

SEEDS = st.integers(-5, 2**40)


@given(
    rest=st.integers(0, 200),
    per_rank=st.integers(1, 40),
    num_ranks=st.integers(1, 5),
    seed=SEEDS,
    epoch=st.integers(0, 50),
)
def test_all_ranks_together_see_no_sample_twice_and_leave_out_less_than_a_batch(rest, per_rank, num_ranks, seed, epoch):
    global_batch = num_ranks * per_rank
    num_samples = global_batch + rest
    plans = [epoch_plan(num_samples, num_ranks, rank, per_rank, seed, epoch) for rank in range(num_ranks)]
    steps = num_samples // global_batch
    assert all(plan.shape == (steps, per_rank) and plan.dtype == np.int64 for plan in plans)
    assert steps == steps_per_epoch(num_samples, global_batch)
    seen = np.concatenate(plans).ravel()
    assert len(set(seen.tolist())) == len(seen) > num_samples - global_batch
    assert 0 <= seen.min() <= seen.max() < num_samples


@given(steps=st.integers(1, 40), per_rank=st.integers(1, 8), num_ranks=st.integers(1, 6), seed=SEEDS)
def test_a_batch_that_divides_the_set_leaves_out_nothing(steps, per_rank, num_ranks, seed):
    num_samples = steps * per_rank * num_ranks
    plans = [epoch_plan(num_samples, num_ranks, rank, per_rank, seed, 1) for rank in range(num_ranks)]
    assert sorted(np.concatenate(plans).ravel()) == list(range(num_samples))


@given(rest=st.integers(0, 300), share=st.integers(1, 10), seed=SEEDS)
def test_worlds_of_one_two_three_see_the_same_global_batches(rest, share, seed):
    global_batch = 6 * share
    num_samples = global_batch + rest
    alone = epoch_plan(num_samples, 1, 0, global_batch, seed, 4)
    for num_ranks in (2, 3):
        ranks = [
            epoch_plan(num_samples, num_ranks, rank, global_batch // num_ranks, seed, 4) for rank in range(num_ranks)
        ]
        assert np.array_equal(np.concatenate(ranks, axis=1), alone)


def test_each_epoch_leaves_out_others():
    left_out = [set(range(103)) - set(epoch_plan(103, 1, 0, 10, 0, epoch).ravel().tolist()) for epoch in range(60)]
    assert all(len(each) == 3 for each in left_out)
    # a sample is missing from an epoch with probability 3/103, from all of 60 with 1e-92; and 60 * 3 draws of 103 meet most
    assert not set.intersection(*left_out)
    assert len(set.union(*left_out)) > 60


def test_epochs_and_seeds_differ_and_repeat():
    plans = {(seed, epoch): epoch_plan(100, 1, 0, 10, seed, epoch) for seed in (1, 2) for epoch in (0, 1, 2)}
    flat = {key: tuple(plan.ravel()) for key, plan in plans.items()}
    assert len(set(flat.values())) == 6
    assert np.array_equal(plans[1, 2], epoch_plan(100, 1, 0, 10, 1, 2))


def test_resuming_after_three_steps_is_the_rest_of_the_plan():
    whole = epoch_plan(1000, 2, 1, 16, 9, 3)
    resumed = epoch_plan(1000, 2, 1, 16, 9, 3)[3:]
    assert np.array_equal(whole[3:], resumed)
    assert not set(whole[:3].ravel()) & set(resumed.ravel())


def test_golden():
    """Pinned, so that a checkpoint's place in an epoch still means the same samples after a change."""
    assert [epoch_plan(7, 1, 0, 3, seed=0, epoch=0).tolist(), epoch_plan(7, 2, 1, 2, seed=0, epoch=0).tolist()] == [
        [[2, 1, 4], [6, 5, 0]],
        [[4, 6]],
    ]


def test_a_rank_makes_its_own_part_alone():
    tracemalloc.start()
    plan = epoch_plan(40_000_000, 1024, 7, 128, 0, 0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert plan.shape == (305, 128)
    assert peak < 20 * plan.nbytes  # of the order's 320 MB


def test_the_order_is_shuffled():
    positions = np.argsort(epoch_plan(5000, 1, 0, 5000, 1, 1).ravel())
    # correlation of two independent orders of n has standard deviation 1/sqrt(n - 1) = 0.014; five of them
    assert abs(np.corrcoef(positions, np.arange(5000))[0, 1]) < 0.07


def test_too_few_samples_and_places_outside_the_world_are_refused():
    for num_samples, batch in ((0, 1), (0, 4), (3, 4)):
        with pytest.raises(DataError, match="not one whole batch"):
            epoch_plan(num_samples, 1, 0, batch, 0, 0)
    with pytest.raises(DataError, match=r"7 samples[\s\S]*8 or more"):
        epoch_plan(7, 2, 0, 4, 0, 0)
    for num_ranks, rank, batch in ((2, 2, 4), (2, -1, 4), (0, 0, 4), (1, 0, 0)):
        with pytest.raises(ValueError, match="no place in a world"):
            epoch_plan(10, num_ranks, rank, batch, 0, 0)
