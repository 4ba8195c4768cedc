"""Pairs of training images: half genuine, in folds of disjoint identities, from a seed."""

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources.shared.training_pairs import draw_training_pairs

IDENTITIES = [f"id{i:02d}" for i in range(12) for _ in range(3)]
TRAIN = ["train"] * 36


def test_pairs_are_half_genuine_and_of_disjoint_identities():
    pairs = draw_training_pairs(IDENTITIES, TRAIN, 400, 4, np.random.default_rng(0))
    names = np.array(IDENTITIES)
    assert len(pairs.a) == 400
    assert pairs.genuine.sum() == 200
    np.testing.assert_array_equal(names[pairs.a] == names[pairs.b], pairs.genuine)
    assert (pairs.a != pairs.b).all()
    in_fold = [set(names[pairs.a[pairs.folds == fold]]) | set(names[pairs.b[pairs.folds == fold]]) for fold in range(4)]
    assert sum(map(len, in_fold)) == len(set.union(*in_fold)) == 12
    number_of = dict(zip(names[pairs.a].tolist(), pairs.people[:, 0].tolist(), strict=True))
    assert len(set(number_of.values())) == len(number_of)  # a number an identity, the same on both sides
    assert [number_of[name] for name in names[pairs.b]] == pairs.people[:, 1].tolist()


def test_pairs_follow_the_seed_and_are_of_training_images_only():
    splits = ["train"] * 30 + ["test"] * 6
    first, again, other = (draw_training_pairs(IDENTITIES, splits, 60, 3, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.a, again.a)
    assert (first.a != other.a).any()
    assert max(first.a.max(), first.b.max()) < 30


def test_a_test_identity_among_the_training_ones_is_named():
    splits = [*TRAIN[:-1], "test"]
    with pytest.raises(DataError, match=r"training identities only[\s\S]*id11"):
        draw_training_pairs(IDENTITIES, splits, 60, 3, np.random.default_rng(0))


def test_too_few_identities_or_images():
    with pytest.raises(DataError, match=r"too few training identities[\s\S]*12"):
        draw_training_pairs(IDENTITIES, TRAIN, 60, 7, np.random.default_rng(0))
    with pytest.raises(DataError, match="too few"):
        draw_training_pairs(IDENTITIES, ["test"] * 36, 60, 2, np.random.default_rng(0))
    with pytest.raises(DataError, match="no genuine pair"):
        draw_training_pairs(IDENTITIES[::3], TRAIN[::3], 60, 2, np.random.default_rng(0))
