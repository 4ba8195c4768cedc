"""Pairs to train on: who stands beside a sample this time."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.networks.training.data import PARTNER, sample_rng


class Partners:
    """Draws a partner for each sample: half of the time another sample of the same identity, else one of another.

    A sample that comes in an epoch comes once (shards.plan), with a partner, so pairs cover all identities. A partner is
    uniform among those that it may be; where an identity has one sample alone, that is always a stranger. Who it is depends
    on seed, epoch and sample alone.

    Args:
        labels: int64 (N,), the class of each sample; at least two classes.

    Attributes:
        num_alone: samples that have no other of their identity.
    """

    def __init__(self, labels: npt.NDArray[np.int64]) -> None:
        self._labels = labels
        self._by_class = np.argsort(labels, kind="stable")
        self._place = np.empty_like(self._by_class)
        self._place[self._by_class] = np.arange(len(labels))
        counts = np.bincount(labels)
        self._bounds = np.concatenate([[0], np.cumsum(counts)])  # of each class in _by_class
        self.num_alone = int((counts == 1).sum())

    def draw(self, sample: int, seed: int, epoch: int) -> int:
        """The partner of `sample`, a row of the training set."""
        rng = sample_rng(seed, epoch, sample, PARTNER)
        own = self._labels[sample]
        first, end = self._bounds[own], self._bounds[own + 1]
        if end - first > 1 and rng.integers(2):
            place = first + rng.integers(end - first - 1)
            place += place >= self._place[sample]
        else:
            place = rng.integers(len(self._labels) - (end - first))
            place += (end - first) * (place >= first)
        return int(self._by_class[place])
