"""Random numbers by place: a permutation of which any part is computed alone, and the hash that it is made with."""

import math

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint64]
NUM_ROUNDS = 8  # four suffice for random round functions (Luby and Rackoff 1988)
BLOCK = 65536  # numbers at a time, which stay in a core's cache


def mixed(values: Bits) -> Bits:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): uint64, any shape, to random-looking bits, one to one."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def shuffled(places: npt.NDArray[np.int64], num: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """What stands at `places` of a random order of 0 .. num - 1: memory and time are of the places, not of the order.

    A Feistel network on the pairs (l, r) of a x b, a = ceil(sqrt(num)), b = ceil(num / a), with keys k:

        l <- (l + mixed(r + k)) mod a,   r <- (r + mixed(l + k')) mod b,   NUM_ROUNDS in all

    permutes the a b numbers l b + r; what comes out at num or beyond is put in again until it comes out below (Black and
    Rogaway 2002), which of fewer than sqrt(num) + 1 numbers too many is rare.

    Args:
        places: int64 (P,), in [0, num).
        seed, epoch: choose the order; any integer, and one from 0.

    Returns:
        int64 (P,), in [0, num), different where the places are.
    """
    a = math.isqrt(num - 1) + 1
    b = -(-num // a)
    rows, columns = np.uint64(a), np.uint64(b)
    keys = np.random.default_rng([seed % 2**64, epoch]).integers(2**64, size=NUM_ROUNDS, dtype=np.uint64)

    def permuted(numbers: Bits) -> Bits:
        left, right = numbers // columns, numbers % columns
        for key, other in keys.reshape(-1, 2):
            left = (left + mixed(right + key) % rows) % rows
            right = (right + mixed(left + other) % columns) % columns
        return left * columns + right

    found = np.empty(len(places), np.int64)
    for first in range(0, len(places), BLOCK):
        part = permuted(places[first : first + BLOCK].astype(np.uint64))
        while (beyond := part >= num).any():
            part[beyond] = permuted(part[beyond])
        found[first : first + BLOCK] = part
    return found
