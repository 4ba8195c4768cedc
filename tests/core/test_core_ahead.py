"""Work done ahead in threads."""

import time

import pytest

from pipeline_lib.core.ahead import load_ahead
from pipeline_lib.core.errors import DataError


def test_load_ahead_keeps_order_raises_and_does_not_run_away() -> None:
    started: list[int] = []

    def slow(item: int) -> int:
        started.append(item)
        time.sleep(0.01 * (item % 3))
        if item == 7:
            raise DataError("seven")
        return item * item

    stream = load_ahead(slow, iter(range(100)), num_threads=2)
    assert [next(stream) for _ in range(7)] == [0, 1, 4, 9, 16, 25, 36]
    assert len(started) <= 7 + 4 + 1  # two items a thread ahead
    with pytest.raises(DataError, match="seven"):
        list(stream)
    assert list(load_ahead(slow, [], num_threads=2)) == []
