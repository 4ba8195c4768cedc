"""The pairs of images that region weights are learned from: of training people, or of validation people."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline_lib.core.errors import DataError
from pipeline_lib.schemas.training_pairs import TRAINING_PAIRS

Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
PEOPLE_A_FOLD = {"train": 2, "val": 3}  # of two, many a resample of few validation people would hold no impostor pair
WORDS = {"train": "training", "val": "validation"}


@dataclass(frozen=True)
class PairLabels:
    """What N pairs are: genuine, bool (N,); folds, int64 (N,); people, int64 (N, 2), a number an identity.

    No identity stands in two folds.
    """

    genuine: Bools
    folds: Rows
    people: Rows


def draw_training_pairs(
    image_ids: Sequence[str],
    identities: Sequence[str],
    splits: Sequence[str],
    num_pairs: int,
    num_folds: int,
    rng: np.random.Generator,
    split: Literal["train", "val"] = "train",
) -> pa.Table:
    """Draw pairs of a split's images, half genuine, half impostor, in folds of disjoint identities.

    The split's identities are dealt to the folds at random, those with two images or more first, so that each fold gets
    its share of them; a fold's pairs are of its own identities. A genuine pair is of an identity drawn uniformly among
    those with two images, and two of its images; an impostor pair is of two identities and one image of each. Pairs are
    drawn independently, so one may come twice.

    Args:
        image_ids, identities, splits: N, of the images; only those of `split` are drawn.
        num_pairs: about how many; num_folds times the nearest even number below num_pairs / num_folds, at least 2.
        num_folds: at least 2.
        rng: the identities are sorted first, so equal sets of images give equal pairs.

    Returns:
        A table of schemas.training_pairs.TRAINING_PAIRS.

    Raises:
        DataError: an identity is also in another split (names it); too few identities or images for the folds.
    """
    rows_of: dict[str, list[int]] = {}
    for row, (identity, own_split) in enumerate(zip(identities, splits, strict=True)):
        if own_split == split:
            rows_of.setdefault(identity, []).append(row)
    others = {identity for identity, own_split in zip(identities, splits, strict=True) if own_split != split}
    shared = sorted(others & set(rows_of))
    if shared:
        raise DataError(
            f"Region weights may see {WORDS[split]} identities only.", got=shared[:10], allowed="no other's"
        )
    several = sorted(name for name, rows in rows_of.items() if len(rows) > 1)
    least = PEOPLE_A_FOLD[split]
    if len(rows_of) < least * num_folds or len(several) < num_folds:
        raise DataError(
            f"There are too few {WORDS[split]} identities.",
            got=f"{len(rows_of)}, {len(several)} of them with two images or more",
            allowed=f"at least {least} for each of {num_folds} folds, one of them with two images",
            where="regions.weights: num_cross_validation_folds",
        )
    names = [*rng.permutation(several), *rng.permutation(sorted(rows_of.keys() - set(several)))]
    num_each = max(num_pairs // (2 * num_folds), 1)
    parts = []
    for fold in range(num_folds):
        own = [np.array(rows_of[name], np.int64) for name in names[fold::num_folds]]
        pairs = np.concatenate([_genuine(own, num_each, rng), _impostor(own, num_each, rng)])
        parts.append((pairs, np.arange(2 * num_each) < num_each, np.full(2 * num_each, fold)))
    pairs, genuine, folds = (np.concatenate(column) for column in zip(*parts, strict=True))
    (a, b) = pairs.T
    columns = [np.asarray(names, object)[rows] for names in (image_ids, identities) for rows in (a, b)]
    return pa.table([*columns, genuine, folds.astype(np.int32), [split] * len(genuine)], schema=TRAINING_PAIRS)


def pair_labels(pairs: pa.Table) -> PairLabels:
    """What the pairs of such a table are."""
    sides = [pairs[name].to_numpy(zero_copy_only=False) for name in ("identity_a", "identity_b")]
    people = np.unique(np.stack(sides, axis=1), return_inverse=True)[1].reshape(-1, 2).astype(np.int64)
    genuine = pairs["genuine"].to_numpy(zero_copy_only=False)
    return PairLabels(genuine, pairs["fold"].to_numpy().astype(np.int64), people)


def _genuine(own: list[Rows], num: int, rng: np.random.Generator) -> Rows:
    several = [rows for rows in own if len(rows) > 1]
    drawn = [several[index] for index in rng.integers(len(several), size=num)]
    return np.stack([rng.choice(rows, 2, replace=False) for rows in drawn])


def _impostor(own: list[Rows], num: int, rng: np.random.Generator) -> Rows:
    chosen = [rng.choice(len(own), 2, replace=False) for _ in range(num)]
    return np.array([[rng.choice(own[a]), rng.choice(own[b])] for a, b in chosen], np.int64)
