"""Splits by identity, overlaps between sources by name, and the cut of training identities."""

from collections import Counter

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources.shared.splits import Assignment, SourceNames, assign_splits

FREE = frozenset[str]()


def free_source(names: list[str], source: str = "folder") -> SourceNames:
    return SourceNames(source, "by_identity", dict.fromkeys(names, FREE), frozenset(names))


def fixed_source(split: str, names: list[str], more: list[str] | None = None, source: str = "lfw") -> SourceNames:
    return SourceNames(source, split, dict.fromkeys(names, FREE), frozenset(names + (more or [])))


def assign(
    *sources: SourceNames, val: float = 0.2, test: float = 0.3, most: int | None = None, seed: int = 1
) -> Assignment:
    return assign_splits(sources, val, test, most, seed)


NAMES = [f"person_{i:02d}" for i in range(20)]


def test_shares_of_the_free_identities() -> None:
    (splits,) = assign(free_source(NAMES)).splits
    assert Counter(splits.values()) == {"test": 6, "val": 4, "train": 10}
    assert set(splits) == set(NAMES)


def test_seed_decides_and_order_does_not() -> None:
    (one,) = assign(free_source(NAMES)).splits
    assert assign(free_source(NAMES[::-1])).splits == [one]
    assert assign(free_source(NAMES), seed=2).splits != [one]


def test_the_draw_is_the_documented_permutation_of_the_sorted_names() -> None:
    # the same in every process, whatever order a set of names has there
    (splits,) = assign(free_source(NAMES[::-1])).splits
    order = np.random.default_rng([1, 0]).permutation(20)
    assert {name for name, split in splits.items() if split == "test"} == {NAMES[i] for i in order[:6]}
    assert {name for name, split in splits.items() if split == "val"} == {NAMES[i] for i in order[6:10]}


def test_a_share_of_nothing_is_nothing_and_any_other_at_least_two() -> None:
    (splits,) = assign(free_source(NAMES), test=0.0, val=0.01).splits
    assert Counter(splits.values()) == {"val": 2, "train": 18}


def test_too_few_identities_for_the_shares() -> None:
    with pytest.raises(DataError, match="too few identities"):
        assign(free_source(NAMES[:3]))
    with pytest.raises(DataError, match="too few identities"):
        assign(free_source(NAMES), val=0.6, test=0.6)


def test_free_identity_named_by_a_test_source_goes_to_test() -> None:
    # person_03 has a photograph in the test source, person_05 is only named there
    lfw = fixed_source("test", ["person_03", "other"], more=["person_05"])
    result = assign(lfw, free_source(NAMES, "cfp"), test=0.0, val=0.2)
    assert result.splits[0] == {"person_03": "test", "other": "test"}
    cfp = result.splits[1]
    assert {name for name, split in cfp.items() if split == "test"} == {"person_03", "person_05"}
    assert Counter(cfp.values()) == {"test": 2, "val": 4, "train": 14}  # 0.2 of the 18 that are free
    assert (result.num_joined, result.num_removed) == (2, 0)


def test_order_of_the_sources_does_not_matter() -> None:
    lfw, cfp = fixed_source("test", NAMES[:4]), free_source(NAMES, "cfp")
    assert assign(lfw, cfp).splits == assign(cfp, lfw).splits[::-1]


def test_fixed_to_train_but_named_by_a_test_source_is_removed() -> None:
    result = assign(fixed_source("train", ["ann", "bob"]), fixed_source("test", ["cem"], more=["ann"]))
    assert result.splits == [{"ann": None, "bob": "train"}, {"cem": "test"}]
    assert (result.num_joined, result.num_removed) == (0, 1)


def test_val_goes_before_train() -> None:
    result = assign(fixed_source("train", ["ann", "bob"]), fixed_source("val", ["ann"]))
    assert result.splits == [{"ann": None, "bob": "train"}, {"ann": "val"}]


def test_one_person_of_two_free_sources_is_drawn_once() -> None:
    first, second = assign(free_source(NAMES), free_source(NAMES[:10], "second")).splits
    assert all(first[name] == second[name] for name in NAMES[:10])


def stated(splits: dict[str, set[str]], split: str = "by_identity") -> SourceNames:
    return SourceNames(
        "folder: mine", split, {name: frozenset(value) for name, value in splits.items()}, frozenset(splits)
    )


def test_stated_splits_are_kept() -> None:
    result = assign(stated({"ann": {"train"}, "bob": {"val"}, "cem": {"test"}}))
    assert result.splits == [{"ann": "train", "bob": "val", "cem": "test"}]


def test_identity_in_two_splits_is_named_with_both() -> None:
    with pytest.raises(DataError, match=r"(?s)ann in test and train.*folder: mine"):
        assign(stated({"ann": {"train", "test"}}))


def test_unknown_split_and_two_ways_to_state_it() -> None:
    with pytest.raises(DataError, match=r"(?s)unknown split.*dev"):
        assign(stated({"ann": {"dev"}}))
    with pytest.raises(DataError, match="fixed to one split as well"):
        assign(stated({"ann": {"train"}}, split="test"))


def test_max_identities_cuts_training_only_and_nested() -> None:
    (whole,) = assign(free_source(NAMES)).splits
    result = assign(free_source(NAMES), most=4)
    (four,) = result.splits
    assert result.num_cut == 6
    train = {name for name, split in four.items() if split == "train"}
    assert len(train) == 4
    assert all(four[name] == whole[name] for name in NAMES if whole[name] != "train")
    (three,) = assign(free_source(NAMES), most=3).splits
    assert {name for name, split in three.items() if split == "train"} < train
    assert assign(free_source(NAMES), most=100).splits == [whole]
