"""Which sample every rank sees in every step of an epoch, as one array."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError


def epoch_plan(
    num_samples: int, num_ranks: int, rank: int, batch_size_per_rank: int, seed: int, epoch: int
) -> npt.NDArray[np.int64]:
    """The samples of one rank in one epoch: row s is its batch in step s.

        G = num_ranks * batch_size_per_rank,  S = ceil(num_samples / G)
        order = permutation(num_samples; seed, epoch), continued from its own start up to S * G entries
        plan[s] = order[s * G + rank * batch_size_per_rank :][:batch_size_per_rank]

    Every sample comes once an epoch, but for the first S * G - num_samples of the order, which fill up the last global
    batch and so come once more. The order knows neither rank nor number of ranks: worlds with the same G see the same
    global batches, and the ranks' batches of a step, put one after the other, are the global batch. Resuming after k
    steps is plan[k:].

    Args:
        num_samples: at least 1.
        num_ranks, rank: size of the world, and the place in it.
        batch_size_per_rank: samples a rank takes in a step.
        seed, epoch: choose the permutation; equal for all ranks.

    Returns:
        int64 (S, batch_size_per_rank), values in [0, num_samples); S is the same on every rank.

    Raises:
        DataError: there are no samples.
        ValueError: a rank outside the world, or an empty batch.
    """
    if num_samples < 1:
        raise DataError("An epoch needs at least one sample.", got=num_samples)
    if not 0 <= rank < num_ranks or batch_size_per_rank < 1:
        raise ValueError(f"rank {rank} of {num_ranks} with batches of {batch_size_per_rank} is no place in a world")
    num_steps = -(-num_samples // (num_ranks * batch_size_per_rank))
    order = np.random.default_rng([seed % 2**64, epoch]).permutation(num_samples)
    filled = np.resize(order, num_steps * num_ranks * batch_size_per_rank)  # repeats from its start
    return filled.reshape(num_steps, num_ranks, batch_size_per_rank)[:, rank].astype(np.int64)
