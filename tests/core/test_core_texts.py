"""A column of text is the sequence that a list of it would be, and finds rows as a dictionary would."""

import pickle

import numpy as np
import pyarrow as pa
import pytest

from pipeline_lib.core.texts import MISSING, Texts, as_texts

LIST = ["b", "", "Ä", "a", "b"]


@pytest.fixture(params=["array", "chunked", "slice"])
def texts(request: pytest.FixtureRequest) -> Texts:
    columns = {
        "array": pa.array(LIST),
        "chunked": pa.chunked_array([LIST[:2], [], LIST[2:]]),
        "slice": pa.array(["x", *LIST, "y"]).slice(1, len(LIST)),
    }
    return Texts(columns[request.param])


def test_it_is_the_sequence_that_a_list_is(texts: Texts) -> None:
    assert list(texts) == LIST
    assert texts == LIST
    assert texts != LIST[:-1]
    assert [texts[place] for place in range(-5, 5)] == LIST + LIST
    assert texts[1:4] == LIST[1:4]
    assert texts[::-2] == LIST[::-2]
    assert "Ä" in texts
    assert "z" not in texts
    assert pa.array(texts, pa.string()).to_pylist() == LIST
    assert pickle.loads(pickle.dumps(texts)) == LIST
    for outside in (5, -6):
        with pytest.raises(IndexError):
            texts[outside]


def test_rows_are_those_of_the_first_and_missing_ones_are_said(texts: Texts) -> None:
    assert texts.rows(["a", "z", "b", ""]).tolist() == [3, MISSING, 0, 1]
    assert texts.rows(Texts(pa.array(["b"]))).tolist() == [0]
    assert texts.rows([]).dtype == np.int64
    assert texts.is_in({"a", "b"}).tolist() == [True, False, False, True, True]
    assert texts.take([4, 0, 1]) == ["b", "b", ""]


def test_numbers_are_places_among_the_sorted_texts(texts: Texts) -> None:
    numbers, different = texts.numbered()
    assert different == sorted(set(LIST))
    assert [different[number] for number in numbers] == LIST
    numbers, different = as_texts(["Zoe", "adam", "Zoe", "Bea"]).numbered()
    assert (numbers.tolist(), different) == ([1, 2, 1, 0], ["Bea", "Zoe", "adam"])
    assert numbers.dtype == np.int64


def test_a_null_is_none_and_an_empty_column_is_empty() -> None:
    assert list(Texts(pa.array(["a", None], pa.string()))) == ["a", None]
    empty = Texts(pa.chunked_array([], pa.string()))
    assert (len(empty), list(empty), empty.rows(["a"]).tolist()) == (0, [], [MISSING])
    assert empty.numbered()[1] == []
