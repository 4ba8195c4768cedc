"""Which classes a rank holds, and which of them enter a step of PartialFC."""

import torch
from torch import Tensor

from pipeline_lib.networks.heads.shared.collectives import rank_and_size

LARGEST = 2**63 - 1


def class_range(num_classes: int, rank: int, size: int) -> tuple[int, int]:
    """The classes [first, last) of a rank: rank·C // size to (rank + 1)·C // size."""
    return rank * num_classes // size, (rank + 1) * num_classes // size


def local_class_range(num_classes: int) -> tuple[int, int]:
    """class_range of this process."""
    return class_range(num_classes, *rank_and_size())


def sample_classes(labels: Tensor, first: int, last: int, num_sampled: int, seed: int, step: Tensor) -> Tensor:
    """All of the labels' classes in [first, last), and random others of this range up to `num_sampled` in all.

    Every class has a random number for (seed, step), whatever the rank, the device or the batch, and those of the
    smallest numbers fill up. The micro-batches of a step thus share their negatives.

    Args:
        labels: int64 (B,), of any rank's classes.
        num_sampled: 1 to last - first. It is exceeded where there are more labels' classes than that; only where this
            can be, that is below min(B, last - first), must the host wait for the device.
        step: int64 scalar on the device of `labels`.

    Returns:
        int64 (k,), ascending, counted from `first`.
    """
    count = last - first
    numbers = random_numbers(torch.arange(first, last, device=labels.device), seed, step)
    mine = (labels >= first) & (labels < last)
    wanted = torch.zeros(count + 1, dtype=torch.bool, device=labels.device)
    wanted[torch.where(mine, labels - first, count)] = True  # the last place takes other ranks' classes
    wanted = wanted[:count]
    if num_sampled < min(len(labels), count):
        num_sampled = max(num_sampled, int(wanted.sum()))
    ranked = torch.where(wanted, -1, numbers)
    return ranked.topk(num_sampled, largest=False, sorted=False).indices.sort().values


def random_numbers(places: Tensor, seed: int, step: Tensor) -> Tensor:
    """The numbers at `places` (int64) of the SplitMix64 stream of (seed, step), cut to 63 bits: int64 in [0, 2^63).

    A generator object would have to be seeded by the host, which would wait for `step`.
    Steele et al. 2014, Fast splittable pseudorandom number generators.
    """
    state = _mixed(_mixed(torch.full_like(step, _signed(seed % 2**64))) + step)
    return _mixed(state + places * _GAMMA) & LARGEST


def _signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word


_GAMMA, _FACTOR_1, _FACTOR_2 = map(_signed, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def _mixed(word: Tensor) -> Tensor:
    """SplitMix64's finaliser; int64 stands for uint64, products wrap."""
    word = (word ^ _shifted(word, 30)) * _FACTOR_1
    word = (word ^ _shifted(word, 27)) * _FACTOR_2
    return word ^ _shifted(word, 31)


def _shifted(word: Tensor, bits: int) -> Tensor:
    """Right shift that brings in zeros, where torch's brings in the sign."""
    return (word >> bits) & ((1 << (64 - bits)) - 1)
