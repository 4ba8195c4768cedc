"""Which pairs are explained: fixed by the set of pairs and the seed, and the same for every method."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.params.explain import Explain
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.why.explanation.shared.pair_sample import EXPLANATION, TIES, draw_pairs, sample


def pairs_table() -> pa.Table:
    rows = [
        {"protocol": protocol, "fold": 0, "image_a": f"a{n}", "image_b": f"b{n}", "genuine": n % 2 == 0}
        for protocol in ("lfw", "again")
        for n in range(20)
    ]
    rows.append({"protocol": "val", "fold": 0, "image_a": "v", "image_b": "w", "genuine": True})
    return table_from_rows(rows, PAIRS)


def splits(last: int = 20) -> dict[str, str]:
    return {"v": "val", "w": "val", **{f"{side}{n}": "test" for side in "ab" for n in range(last)}}


def people() -> dict[str, str]:
    return {image: f"who is on {image}" for image in splits()}


def test_pairs_are_drawn_from_the_aligned_test_images_of_a_protocol_once_each() -> None:
    table = pa.concat_tables([pairs_table(), pairs_table()])
    drawn = draw_pairs(table, splits(10), "lfw", True, 100, seed=3)
    assert sorted(drawn) == [(f"a{n}", f"b{n}") for n in range(0, 10, 2)]
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    assert drawn == draw_pairs(shuffled, splits(10), "lfw", True, 100, seed=3)
    assert drawn[:3] == draw_pairs(table, splits(10), "lfw", True, 3, seed=3)
    assert drawn != draw_pairs(table, splits(10), "again", True, 100, seed=3)
    assert all(int(a[1:]) % 2 for a, _ in draw_pairs(table, splits(), "lfw", False, 100, seed=3))


def test_no_pair_of_a_kind_in_any_protocol_is_an_error() -> None:
    with pytest.raises(DataError, match="no genuine pair"):
        list(sample(pairs_table(), {}, {}, params(3, 0)))
    only_genuine = {
        image: split for image, split in splits().items() if not image[1:].isdigit() or not int(image[1:]) % 2
    }
    with pytest.raises(DataError, match="no impostor pair"):
        list(sample(pairs_table(), only_genuine, people(), params(3, 0)))


def params(num_pairs: int, num_pictures: int, seed: int = 3) -> Explain:
    return Explain(num_pairs=num_pairs, num_pictures=num_pictures, num_steps=2, insertion_blur_sigma_px=1.0, seed=seed)


@pytest.mark.parametrize(("num_pairs", "num_pictures"), [(4, 3), (1, 5), (4, 0), (2, 1)])
def test_of_each_protocol_as_many_of_both_kinds_are_measured_and_some_shown(num_pairs: int, num_pictures: int) -> None:
    sampled = list(sample(pairs_table(), splits(), people(), params(num_pairs, num_pictures)))
    num_impostor = num_pictures // 2
    for protocol in ("lfw", "again"):
        of_it = [pair for pair in sampled if pair.protocol == protocol]
        assert [pair.kind for pair in of_it if pair.is_measured] == ["genuine"] * num_pairs + ["impostor"] * num_pairs
        shown = [pair.kind for pair in of_it if pair.is_shown]
        assert shown == ["genuine"] * (num_pictures - num_impostor) + ["impostor"] * num_impostor
    assert {pair.protocol for pair in sampled} == {"lfw", "again"}  # val is of people who choose among trainings
    assert all(pair.is_measured or pair.is_shown for pair in sampled)


def test_the_order_of_ties_is_the_same_whatever_a_method_draws() -> None:
    first, again = (next(iter(sample(pairs_table(), splits(), people(), params(1, 0)))) for _ in range(2))
    first.rng(EXPLANATION).random(1000)
    np.testing.assert_array_equal(first.rng(TIES).permutation(50), again.rng(TIES).permutation(50))
    assert not np.array_equal(first.rng(EXPLANATION).random(50), first.rng(TIES).random(50))


def test_pairs_and_seeds_have_generators_of_their_own() -> None:
    drawn = [pair.rng(TIES).random() for pair in sample(pairs_table(), splits(), people(), params(4, 6))]
    other = [pair.rng(TIES).random() for pair in sample(pairs_table(), splits(), people(), params(4, 6, seed=4))]
    assert len({*drawn, *other}) == len(drawn) + len(other)
