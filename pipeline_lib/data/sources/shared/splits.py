"""Which identity goes to which split: stated splits first, overlaps between sources by name, the rest drawn by seed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline_lib.core.errors import DataError
from pipeline_lib.schemas.manifest import SPLITS

BY_IDENTITY = "by_identity"
# A person known to the test set must not be trained on, whatever another source says.
PRECEDENCE = ("test", "val", "train")


class TooFewPeople(DataError):
    """There are fewer people, or photographs of them, than the parameters ask for."""


@dataclass(frozen=True)
class SourceNames:
    """What a source says of its people.

    Args:
        source: its name, for messages.
        split: by_identity, or the split all its identities are fixed to.
        stated: identity -> splits its photographs are filed under (empty where the source files them under none).
        all_names: every identity the source states; for a fixed source those without a photograph keep others out as well.
    """

    source: str
    split: str
    stated: Mapping[str, frozenset[str]]
    all_names: frozenset[str]


@dataclass(frozen=True)
class Assignment:
    """The split of each identity, source by source (None: left out), and how many identities each rule moved."""

    splits: list[dict[str, str | None]]
    num_joined: int
    num_removed: int
    num_cut: int


def assign_splits(
    sources: Sequence[SourceNames], val_share: float, test_share: float, max_identities: int | None, seed: int
) -> Assignment:
    """Give every identity of every source one split.

    1. A source fixed to a split, or one that files its photographs under splits, states them.
    2. A free identity that another source states (in its photographs, or fixed and only by name) joins that split, so it is
       never free to be drawn into another one.
    3. An identity two sources state differently stays in the first of test, val, train and is left out of the others.
    4. The remaining free identities, sorted by name and permuted by `seed`, give round(test_share * n) to test, then
       round(val_share * n) to val, at least two each where the share is not zero (one person makes no impostor pair); the rest
       trains, and is two people at least (with those stated) unless the shares are the whole.
    5. Of all training identities, `max_identities` are kept: the first of another seeded permutation.

    Raises:
        DataError: an identity in two splits of one source, an unknown split, or a fixed source that files under others.
        TooFewPeople: too few free identities for the shares.
    """
    fixed = [_fixed_splits(source) for source in sources]
    stated: dict[str, str] = {}
    for split in reversed(PRECEDENCE):
        for source, own in zip(sources, fixed, strict=True):
            names = {name for name, value in own.items() if value == split}
            stated.update(dict.fromkeys(names | (source.all_names if source.split == split else frozenset()), split))

    free = sorted({name for own in fixed for name, split in own.items() if split is None and name not in stated})
    num_stated = sum(split == "train" for split in stated.values())
    drawn = _draw(free, val_share, test_share, num_stated, np.random.default_rng([seed, 0]))
    wanted = {**drawn, **stated}
    train = sorted({name for own in fixed for name in own if wanted[name] == "train"})
    order = np.random.default_rng([seed, 1]).permutation(len(train))
    cut = {train[i] for i in order[max_identities:]} if max_identities is not None else set()

    splits: list[dict[str, str | None]] = []
    moved: Counter[str] = Counter()
    for own in fixed:
        result: dict[str, str | None] = {}
        for name, own_split in own.items():
            removed = own_split is not None and own_split != wanted[name]
            moved["removed"] += removed
            moved["joined"] += own_split is None and name in stated
            result[name] = None if removed or name in cut else wanted[name]
        splits.append(result)
    return Assignment(splits, moved["joined"], moved["removed"], len(cut))


def _fixed_splits(source: SourceNames) -> dict[str, str | None]:
    result: dict[str, str | None] = {}
    for name, splits in source.stated.items():
        if unknown := splits - set(SPLITS):
            raise DataError(
                "A source files photographs under an unknown split.",
                got=sorted(unknown),
                allowed=SPLITS,
                where=source.source,
            )
        if len(splits) > 1:
            raise DataError(
                "An identity stands in two splits; leave it in one.",
                got=f"{name} in {' and '.join(sorted(splits))}",
                where=source.source,
            )
        if splits and source.split != BY_IDENTITY and splits != {source.split}:
            raise DataError(
                "A source files its photographs under splits and is fixed to one split as well.",
                got=f"split: {source.split}, and {name} in {' and '.join(sorted(splits))}",
                allowed=f"split: {BY_IDENTITY} for a source that states splits",
                where=source.source,
            )
        result[name] = next(iter(splits)) if splits else (None if source.split == BY_IDENTITY else source.split)
    return result


def _draw(
    free: Sequence[str], val_share: float, test_share: float, num_stated: int, rng: np.random.Generator
) -> dict[str, str]:
    if not free:
        return {}
    num_test, num_val = (max(2, round(share * len(free))) if share > 0 else 0 for share in (test_share, val_share))
    num_train = len(free) - num_test - num_val
    if num_train < 0 or (val_share + test_share < 1 and num_train + num_stated < 2):
        left = max(0, num_train)
        raise TooFewPeople(
            "There are too few identities for the shares.",
            got=f"{len(free)} identities to draw from: {num_test} for test, {num_val} for val, {left} to train on",
            allowed="test_share + val_share <= 1, and two identities at least in each split that has a share",
            where="ingest.test_share, ingest.val_share",
        )
    order = [free[i] for i in rng.permutation(len(free))]
    val_end = num_test + num_val
    return {
        **dict.fromkeys(order[:num_test], "test"),
        **dict.fromkeys(order[num_test:val_end], "val"),
        **dict.fromkeys(order[val_end:], "train"),
    }
