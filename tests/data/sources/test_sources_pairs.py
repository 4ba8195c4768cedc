"""Drawn protocols: balance, truth, disjoint folds, and what happens where identities are few."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources.shared.pairs import DrawnPair, draw_pairs


def people(sizes: list[int]) -> tuple[list[str], list[str]]:
    ids = [f"p{person}-{image}" for person, size in enumerate(sizes) for image in range(size)]
    return ids, [image_id.split("-")[0] for image_id in ids]


def draw(sizes: list[int], num_folds: int, pairs_per_fold: int, seed: int = 0) -> list[DrawnPair]:
    return draw_pairs(*people(sizes), num_folds, pairs_per_fold, np.random.default_rng(seed), "val")


def person(image_id: str) -> str:
    return image_id.split("-")[0]


def test_enough_identities_give_the_wanted_protocol() -> None:
    pairs = draw([6] * 40, num_folds=10, pairs_per_fold=30)
    assert Counter((pair.fold, pair.genuine) for pair in pairs) == {
        (f, g): 15 for f in range(10) for g in (True, False)
    }
    assert [pair.fold for pair in pairs] == sorted(pair.fold for pair in pairs)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=2, max_size=25).filter(lambda sizes: max(sizes) > 1),
    num_folds=st.integers(2, 10),
    half=st.integers(1, 20),
    seed=st.integers(0, 3),
)
def test_properties(sizes: list[int], num_folds: int, half: int, seed: int) -> None:
    pairs = draw(sizes, num_folds, 2 * half, seed)
    assert all(pair.genuine == (person(pair.image_a) == person(pair.image_b)) for pair in pairs)
    assert all(pair.image_a != pair.image_b for pair in pairs)
    assert len({frozenset((pair.image_a, pair.image_b)) for pair in pairs}) == len(pairs)
    folds = sorted({pair.fold for pair in pairs})
    assert folds == list(range(len(folds)))
    assert len(folds) <= num_folds
    counts = Counter((pair.fold, pair.genuine) for pair in pairs)
    assert all(1 <= counts[fold, True] == counts[fold, False] <= half for fold in folds)
    if min(sum(size > 1 for size in sizes), len(sizes) // 2) >= 2:
        folds_of: dict[str, set[int]] = {}
        for pair in pairs:
            for image in (pair.image_a, pair.image_b):
                folds_of.setdefault(person(image), set()).add(pair.fold)
        assert all(len(found) == 1 for found in folds_of.values())


def test_too_few_images_give_all_pairs_that_exist_balanced() -> None:
    # Two folds of two identities each with two images: a fold has 2 genuine and 4 impostor pairs, so 2 of each.
    pairs = draw([2, 2, 2, 2], num_folds=10, pairs_per_fold=1000)
    assert Counter((pair.fold, pair.genuine) for pair in pairs) == {(f, g): 2 for f in range(2) for g in (True, False)}


def test_three_identities_share_folds_among_them() -> None:
    # Disjoint folds need two identities each, so three people make one; instead their pairs are dealt to all folds.
    pairs = draw([4, 4, 4], num_folds=4, pairs_per_fold=6)
    assert Counter((pair.fold, pair.genuine) for pair in pairs) == {(f, g): 3 for f in range(4) for g in (True, False)}


def test_one_genuine_pair_gives_one_fold() -> None:
    pairs = draw([2, 1], num_folds=10, pairs_per_fold=60)
    assert Counter((pair.fold, pair.genuine) for pair in pairs) == {(0, True): 1, (0, False): 1}


def test_every_pair_of_both_sorts_can_be_drawn_and_about_equally_often() -> None:
    ids, identities = people([3, 2, 1])
    every = {frozenset(pair) for pair in combinations(ids, 2)}
    seen: Counter[frozenset[str]] = Counter()
    for seed in range(600):
        rng = np.random.default_rng(seed)
        seen.update(frozenset((p.image_a, p.image_b)) for p in draw_pairs(ids, identities, 2, 2, rng, "val"))
    assert set(seen) == every
    genuine = [count for pair, count in seen.items() if len({person(image) for image in pair}) == 1]
    # 600 draws of 2 of 4 genuine pairs: 300 each, standard deviation sqrt(600 / 4) = 12; five of them are 61
    assert all(abs(count - 300) < 61 for count in genuine)


def test_same_images_and_seed_give_the_same_pairs_in_any_order() -> None:
    ids, identities = people([3] * 8)
    again = np.random.default_rng(5).permutation(len(ids))
    shuffled = draw_pairs(
        [ids[i] for i in again], [identities[i] for i in again], 3, 6, np.random.default_rng(2), "val"
    )
    assert shuffled == draw_pairs(ids, identities, 3, 6, np.random.default_rng(2), "val")
    assert shuffled != draw_pairs(ids, identities, 3, 6, np.random.default_rng(3), "val")


@pytest.mark.parametrize(
    ("sizes", "sort"), [([1, 1, 1], "genuine"), ([5], "impostor"), ([], "genuine"), ([1], "genuine")]
)
def test_a_missing_sort_is_an_error_that_names_the_protocol(sizes: list[int], sort: str) -> None:
    with pytest.raises(DataError, match=f"No {sort} pair exists for the protocol val"):
        draw(sizes, 10, 60)


def test_many_images_are_drawn_without_listing_their_pairs() -> None:
    # 40,000 images have 8e8 impostor pairs; a list of them would not fit into memory
    pairs = draw([20] * 2000, num_folds=2, pairs_per_fold=100)
    assert len(pairs) == 200


@pytest.mark.parametrize("sizes", [[6] * 40, [8, 8, 8]])  # disjoint folds, and shared ones
def test_which_image_is_the_first_says_nothing(sizes: list[int]) -> None:
    pairs = draw(sizes, num_folds=10, pairs_per_fold=60)
    for genuine in (True, False):
        in_order = [pair.image_a < pair.image_b for pair in pairs if pair.genuine == genuine]
        # a fair coin's share: 0.5 within four standard deviations
        assert abs(np.mean(in_order) - 0.5) < 4 * 0.5 / len(in_order) ** 0.5
