"""Which sample every rank sees in every step of an epoch, as one array."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.shards.shuffle import shuffled


def steps_per_epoch(num_samples: int, batch_size: int) -> int:
    """Steps of an epoch: whole global batches alone.

    Raises:
        DataError: there are fewer samples than a batch takes.
    """
    if num_samples < batch_size:
        raise DataError(
            "An epoch has not one whole batch.", got=f"{num_samples} samples", allowed=f"{batch_size} or more"
        )
    return num_samples // batch_size


def epoch_plan(
    num_samples: int, num_ranks: int, rank: int, batch_size_per_rank: int, seed: int, epoch: int
) -> npt.NDArray[np.int64]:
    """The samples of one rank in one epoch: row s is its batch in step s.

        G = num_ranks * batch_size_per_rank,  S = floor(num_samples / G)
        order = a permutation of the samples, of seed and epoch (shuffle.shuffled)
        plan[s] = order[s * G + rank * batch_size_per_rank :][:batch_size_per_rank]

    No sample comes twice in an epoch. The last num_samples - S * G of the order, fewer than a global batch, are left out:
    a smaller batch would weigh its samples more, give batch normalisation other statistics, and divide into no micro-batches.
    Each epoch leaves out others. The order knows neither rank nor number of ranks nor the workers that load it: worlds with the
    same G see the same global batches, and the ranks' batches of a step, put one after the other, are the global batch. A
    rank's workers take its rows in turn, however many they are. Resuming after k steps is plan[k:].

    Args:
        num_samples: a global batch at least.
        num_ranks, rank: size of the world, and the place in it.
        batch_size_per_rank: samples a rank takes in a step.
        seed, epoch: choose the permutation; equal for all ranks.

    Returns:
        int64 (S, batch_size_per_rank), values in [0, num_samples); S is the same on every rank. A rank computes its own
        part alone.

    Raises:
        DataError: there are fewer samples than the global batch takes.
        ValueError: a rank outside the world, or an empty batch.
    """
    if not 0 <= rank < num_ranks or batch_size_per_rank < 1:
        raise ValueError(f"rank {rank} of {num_ranks} with batches of {batch_size_per_rank} is no place in a world")
    batch_size = num_ranks * batch_size_per_rank
    steps = steps_per_epoch(num_samples, batch_size)
    places = np.arange(steps)[:, None] * batch_size + rank * batch_size_per_rank + np.arange(batch_size_per_rank)
    return shuffled(places.ravel(), num_samples, seed, epoch).reshape(places.shape)
