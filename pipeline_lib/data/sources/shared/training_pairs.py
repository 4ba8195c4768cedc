"""The pairs of training images that region weights are learned from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError

Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TrainingPairs:
    """Pairs of rows a, b, int64 (N,); genuine, bool (N,); folds, int64 (N,); people, int64 (N, 2), a number an identity.

    No identity stands in two folds.
    """

    a: Rows
    b: Rows
    genuine: Bools
    folds: Rows
    people: Rows


def draw_training_pairs(
    identities: Sequence[str], splits: Sequence[str], num_pairs: int, num_folds: int, rng: np.random.Generator
) -> TrainingPairs:
    """Draw pairs of training images, half genuine, half impostor, in folds of disjoint identities.

    The training identities are dealt to the folds at random; a fold's pairs are of its own identities. A genuine pair
    is of an identity drawn uniformly among those with two images, and two of its images; an impostor pair is of two
    identities and one image of each. Pairs are drawn independently, so one may come twice.

    Args:
        identities, splits: N, of the images; only rows of split "train" are drawn.
        num_pairs: about how many; num_folds times the nearest even number below num_pairs / num_folds, at least 2.
        num_folds: at least 2.
        rng: the identities are sorted first, so equal sets of images give equal pairs.

    Raises:
        DataError: a training identity is also in another split (names it); too few identities or images for the folds.
    """
    rows_of: dict[str, list[int]] = {}
    for row, (identity, split) in enumerate(zip(identities, splits, strict=True)):
        if split == "train":
            rows_of.setdefault(identity, []).append(row)
    others = {identity for identity, split in zip(identities, splits, strict=True) if split != "train"}
    shared = sorted(others & set(rows_of))
    if shared:
        raise DataError("Region weights may see training identities only.", got=shared[:10], allowed="no test identity")
    if len(rows_of) < 2 * num_folds:
        allowed = f"at least two for each of {num_folds} folds"
        where = "region_weights.num_cross_validation_folds"
        raise DataError("There are too few training identities.", got=len(rows_of), allowed=allowed, where=where)
    names = rng.permutation(sorted(rows_of))
    num_each = max(num_pairs // (2 * num_folds), 1)
    parts = []
    for fold in range(num_folds):
        own = [np.array(rows_of[name], np.int64) for name in names[fold::num_folds]]
        pairs = np.concatenate([_genuine(own, num_each, rng), _impostor(own, num_each, rng)])
        parts.append((pairs, np.arange(2 * num_each) < num_each, np.full(2 * num_each, fold)))
    pairs, genuine, folds = (np.concatenate(column) for column in zip(*parts, strict=True))
    numbers = np.unique(np.asarray(identities), return_inverse=True)[1].astype(np.int64)
    return TrainingPairs(pairs[:, 0], pairs[:, 1], genuine, folds, numbers[pairs])


def _genuine(own: list[Rows], num: int, rng: np.random.Generator) -> Rows:
    several = [rows for rows in own if len(rows) > 1]
    if not several:
        got = f"a fold of {len(own)} identities with one image each"
        raise DataError("A fold has no genuine pair.", got=got, allowed="an identity with two images in each fold")
    drawn = [several[index] for index in rng.integers(len(several), size=num)]
    return np.stack([rng.choice(rows, 2, replace=False) for rows in drawn])


def _impostor(own: list[Rows], num: int, rng: np.random.Generator) -> Rows:
    chosen = [rng.choice(len(own), 2, replace=False) for _ in range(num)]
    return np.array([[rng.choice(own[a]), rng.choice(own[b])] for a, b in chosen], np.int64)
