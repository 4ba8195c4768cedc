"""Pairs of training images: half genuine, in folds of disjoint identities, from a seed."""

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources.shared.training_pairs import draw_training_pairs, pair_labels

IDENTITIES = [f"id{i:02d}" for i in range(12) for _ in range(3)]
IMAGES = [f"image{i:02d}" for i in range(36)]
TRAIN = ["train"] * 36


def images_of(pairs):
    return pairs["image_a"].to_pylist(), pairs["image_b"].to_pylist()


def test_pairs_are_half_genuine_and_of_disjoint_identities():
    table = draw_training_pairs(IMAGES, IDENTITIES, TRAIN, 400, 4, np.random.default_rng(0))
    identity_of = dict(zip(IMAGES, IDENTITIES, strict=True))
    a, b = images_of(table)
    names = [np.array([identity_of[image] for image in side]) for side in (a, b)]
    assert [table["identity_a"].to_pylist(), table["identity_b"].to_pylist()] == [side.tolist() for side in names]
    labels = pair_labels(table)
    assert len(a) == 400
    assert labels.genuine.sum() == 200
    np.testing.assert_array_equal(names[0] == names[1], labels.genuine)
    assert all(one != other for one, other in zip(a, b, strict=True))
    in_fold = [{*names[0][labels.folds == fold], *names[1][labels.folds == fold]} for fold in range(4)]
    assert sum(map(len, in_fold)) == len(set.union(*in_fold)) == 12
    number_of = dict(zip(names[0].tolist(), labels.people[:, 0].tolist(), strict=True))
    assert len(set(number_of.values())) == len(number_of)  # a number an identity, the same on both sides
    assert [number_of[name] for name in names[1]] == labels.people[:, 1].tolist()


def test_pairs_follow_the_seed_and_are_of_training_images_only():
    splits = ["train"] * 30 + ["test"] * 6
    first, again, other = (
        draw_training_pairs(IMAGES, IDENTITIES, splits, 60, 3, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first.equals(again)
    assert not first.equals(other)
    assert max(max(side) for side in images_of(first)) < "image30"


def test_a_test_identity_among_the_training_ones_is_named():
    splits = [*TRAIN[:-1], "test"]
    with pytest.raises(DataError, match=r"training identities only[\s\S]*id11"):
        draw_training_pairs(IMAGES, IDENTITIES, splits, 60, 3, np.random.default_rng(0))


def test_too_few_identities_or_images():
    with pytest.raises(DataError, match=r"too few training identities[\s\S]*12"):
        draw_training_pairs(IMAGES, IDENTITIES, TRAIN, 60, 7, np.random.default_rng(0))
    with pytest.raises(DataError, match="too few"):
        draw_training_pairs(IMAGES, IDENTITIES, ["test"] * 36, 60, 2, np.random.default_rng(0))
    with pytest.raises(DataError, match="0 of them with two images"):
        draw_training_pairs(IMAGES[::3], IDENTITIES[::3], TRAIN[::3], 60, 2, np.random.default_rng(0))


def test_every_fold_gets_an_identity_with_two_images_where_there_are_enough():
    identities = ["a", "a", "b", "b", "c", "c", *(f"single{n}" for n in range(30))]
    images = [f"image{n}" for n in range(len(identities))]
    for seed in range(20):
        pairs = draw_training_pairs(images, identities, ["train"] * 36, 60, 3, np.random.default_rng(seed))
        genuine = pairs.filter(pairs["genuine"])
        assert set(genuine["fold"].to_pylist()) == {0, 1, 2}
