"""Verification pairs drawn for photographs that come without a protocol of their own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError


@dataclass(frozen=True)
class DrawnPair:
    """Two image ids, the fold counted from 0, and whether they show one person."""

    fold: int
    image_a: str
    image_b: str
    genuine: bool


def draw_pairs(
    image_ids: Sequence[str],
    identities: Sequence[str],
    num_folds: int,
    pairs_per_fold: int,
    rng: np.random.Generator,
    protocol: str,
) -> list[DrawnPair]:
    """Draw a balanced protocol: per fold as many genuine as impostor pairs, each a uniform sample without repetition.

    No identity is in two folds, so folds are fewer than `num_folds` where identities are few: a fold needs two of them, one
    with two photographs. Where not even two such folds exist, all pairs are drawn from all identities and dealt to the folds in
    turn, and identities then recur. A fold that has fewer than pairs_per_fold / 2 pairs of one sort takes that number of both.

    Args:
        image_ids: (N,) unique.
        identities: (N,) the person on each image.
        num_folds: folds wanted.
        pairs_per_fold: pairs wanted in each, an even number.
        rng: the result depends on it and on the set of images, not on their order.
        protocol: its name, for messages.

    Returns:
        pairs by fold, the genuine before the impostor ones, as in LFW's pairs.txt; which image of a pair is the first is drawn,
        too, for sorted names may say what is on it (CFP's frontal before its profile photographs).

    Raises:
        DataError: there is no genuine or no impostor pair at all.
    """
    images: dict[str, list[str]] = {}
    for identity, image_id in sorted(zip(identities, image_ids, strict=True)):
        images.setdefault(identity, []).append(image_id)
    several = [name for name, ids in images.items() if len(ids) > 1]
    if not several or len(images) < 2:
        raise DataError(
            f"No {'impostor' if several else 'genuine'} pair exists for the protocol {protocol}.",
            got=f"{len(images)} identities, {len(several)} of them with two photographs or more",
            allowed="at least two identities, one of them with two photographs",
            where="ingest: add photographs, or raise val_share or test_share",
        )
    num_disjoint = min(num_folds, len(several), len(images) // 2)
    if num_disjoint < 2:
        pairs = _draw_balanced(list(images.values()), num_folds * pairs_per_fold // 2, rng)
        count = len(pairs) // 2  # of each sort, and the two are dealt alike so that every fold is balanced
        used = min(num_folds, count)
        dealt = [DrawnPair(i % count % used, *pair) for i, pair in enumerate(pairs)]
        return _in_drawn_order(sorted(dealt, key=lambda pair: (pair.fold, not pair.genuine)), rng)
    # Those with two photographs are dealt first, so every fold gets one; going on in turn, every fold gets two identities.
    singles = [name for name in images if len(images[name]) == 1]
    order = [several[i] for i in rng.permutation(len(several))] + [singles[i] for i in rng.permutation(len(singles))]
    drawn = [
        DrawnPair(fold, *pair)
        for fold in range(num_disjoint)
        for pair in _draw_balanced([images[name] for name in order[fold::num_disjoint]], pairs_per_fold // 2, rng)
    ]
    return _in_drawn_order(drawn, rng)


def _in_drawn_order(pairs: Sequence[DrawnPair], rng: np.random.Generator) -> list[DrawnPair]:
    swapped = rng.random(len(pairs)) < 0.5
    return [
        DrawnPair(pair.fold, pair.image_b, pair.image_a, pair.genuine) if swap else pair
        for pair, swap in zip(pairs, swapped, strict=True)
    ]


def _draw_balanced(
    groups: Sequence[Sequence[str]], wanted: int, rng: np.random.Generator
) -> list[tuple[str, str, bool]]:
    flat = [image_id for group in groups for image_id in group]
    sizes = np.array([len(group) for group in groups])
    index = np.arange(len(flat))
    end = np.repeat(np.cumsum(sizes), sizes)  # where the person of each image ends in the flat list
    genuine_partners, impostor_partners = end - index - 1, len(flat) - end  # partners are counted behind an image only
    count = min(wanted, int(genuine_partners.sum()), int(impostor_partners.sum()))
    genuine = _draw_index_pairs(index + 1, genuine_partners, count, rng)
    impostor = _draw_index_pairs(end, impostor_partners, count, rng)
    return [(flat[a], flat[b], True) for a, b in genuine] + [(flat[a], flat[b], False) for a, b in impostor]


def _draw_index_pairs(
    first: npt.NDArray[np.int64], partners: npt.NDArray[np.int64], count: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Draw `count` of the pairs (i, first_i + k), 0 <= k < partners_i, numbered in a row: none is listed, so N may be large."""
    ends = np.cumsum(partners)
    numbers = np.sort(rng.choice(int(ends[-1]), size=count, replace=False))
    left = np.searchsorted(ends, numbers, side="right")
    right = first[left] + numbers - (ends[left] - partners[left])
    return list(zip(left.tolist(), right.tolist(), strict=True))
