"""Batches over Dask workers."""

import time

import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.parallel import map_batches


def square_slowly_if_even(number: int) -> int:
    time.sleep(0.05 * (number % 2 == 0))
    return number * number


def refuse_three(number: int) -> int:
    if number == 3:
        raise DataError("three is refused", where="batch 3")
    return number


@pytest.mark.parametrize("num_workers", [0, 2])
def test_results_keep_the_order_of_the_batches(num_workers: int) -> None:
    assert list(map_batches(square_slowly_if_even, range(17), num_workers)) == [number**2 for number in range(17)]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_error_reaches_the_caller_as_it_is(num_workers: int) -> None:
    with pytest.raises(DataError, match="three is refused"):
        list(map_batches(refuse_three, range(5), num_workers))


def test_no_batches_no_results() -> None:
    assert list(map_batches(refuse_three, [], 1)) == []


def test_batches_are_drawn_as_results_are_taken() -> None:
    """Memory stays bounded: a generator of batches is not drawn to its end at once."""
    drawn: list[int] = []

    def batches():
        for number in range(10, 200):
            drawn.append(number)
            yield number

    results = map_batches(refuse_three, batches(), 1)
    next(results)
    assert len(drawn) <= 4
    results.close()
