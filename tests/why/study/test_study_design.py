"""The plan of a study: shares worked by hand, and what balance and counterbalance promise."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.core.errors import DataError
from pipeline_lib.why.study.design import CELLS, OCCLUSIONS, Cell, allotment, dealt, even_shares, latin_square

ROOMS = st.lists(st.integers(0, 12), min_size=len(CELLS), max_size=len(CELLS))


def test_even_shares_by_hand() -> None:
    assert even_shares(7, [9, 9, 9]) == [3, 2, 2]
    assert even_shares(9, [1, 9, 9]) == [1, 4, 4]
    assert even_shares(0, [3, 0]) == [0, 0]
    assert even_shares(0, []) == []


def test_sixty_pairs_are_five_of_each_sort() -> None:
    assert set(allotment(60, dict.fromkeys(CELLS, 99)).values()) == {5}


def test_examples_are_three_genuine_and_two_impostor_pairs_that_the_model_decides_rightly() -> None:
    found = {cell for cell, num in allotment(5, dict.fromkeys(CELLS, 99)).items() if num}
    expected = [(True, "none"), (True, "mask"), (True, "sunglasses"), (False, "none"), (False, "mask")]
    assert found == {Cell(*each, True) for each in expected}


def test_the_nearest_sort_gives_what_one_lacks() -> None:
    """Two masked impostor pairs that the model takes for one person instead of five: three more that it decides rightly."""
    available = dict.fromkeys(CELLS, 99) | {Cell(False, "mask", False): 2}
    expected = dict.fromkeys(CELLS, 5) | {Cell(False, "mask", False): 2, Cell(False, "mask", True): 8}
    assert allotment(60, available) == expected


def test_an_occlusion_that_is_not_there_leaves_genuine_and_impostor_even() -> None:
    available = {cell: 99 * (cell.occlusion != "sunglasses") for cell in CELLS}
    found = allotment(40, available)
    assert sum(num for cell, num in found.items() if cell.genuine) == 20
    assert {found[cell] for cell in CELLS if cell.occlusion != "sunglasses"} == {5}


@settings(max_examples=60, deadline=None)
@given(ROOMS, st.data())
def test_allotment_takes_what_is_there_and_is_as_even_as_it_can_be(rooms: list[int], data: st.DataObject) -> None:
    available = dict(zip(CELLS, rooms, strict=True))
    num = data.draw(st.integers(0, sum(rooms)))
    found = allotment(num, available)
    assert sum(found.values()) == num
    assert all(0 <= found[cell] <= available[cell] for cell in CELLS)
    for level in range(len(Cell._fields)):
        for head in {cell[:level] for cell in CELLS}:
            below = [cell for cell in CELLS if cell[:level] == head]
            shares, room = Counter(), Counter()
            for cell in below:
                shares[cell[level]] += found[cell]
                room[cell[level]] += available[cell]
            with_room = [shares[value] for value in shares if shares[value] < room[value]]
            assert not with_room or min(with_room) >= max(shares.values()) - 1, head


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(DataError, match=r"(?s)too few pairs.*got: 12 pairs.*allowed: 13"):
        allotment(13, dict.fromkeys(CELLS, 1))


@settings(max_examples=40, deadline=None)
@given(ROOMS, st.integers(1, 5))
def test_dealt_parts_differ_by_one_pair_of_a_sort(rooms: list[int], num_parts: int) -> None:
    pairs = [cell for cell, num in zip(CELLS, rooms, strict=True) for _ in range(num)]
    parts = dealt(pairs, num_parts)
    assert Counter(cell for part in parts for cell in part) == Counter(pairs)
    for head in {cell[:level] for cell in CELLS for level in range(4)}:
        counts = [sum(cell[: len(head)] == head for cell in part) for part in parts]
        assert max(counts) - min(counts) <= 1, head


@pytest.mark.parametrize("num", range(1, 9))
def test_latin_square(num: int) -> None:
    square = latin_square(num)
    everything = set(range(num))
    assert len(square) == num
    assert all(set(row) == everything and len(row) == num for row in square)
    assert all(set(column) == everything for column in zip(*square, strict=True))
    followed = Counter(pair for row in square for pair in pairwise(row))
    if num % 2 == 0:
        assert followed == {(a, b): 1 for a in everything for b in everything - {a}}


def test_latin_square_of_four_by_hand() -> None:
    assert latin_square(4) == [[0, 1, 3, 2], [1, 2, 0, 3], [2, 3, 1, 0], [3, 0, 2, 1]]


def test_a_cell_reads_well() -> None:
    assert str(Cell(False, OCCLUSIONS[1], True)) == "impostor, occlusion mask, model right"
