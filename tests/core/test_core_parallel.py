"""Batches over Dask workers."""

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline_lib.core import parallel
from pipeline_lib.core.errors import DataError, PipelineError
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


def cluster(num_workers: int) -> Any:
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=num_workers, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", processes=True
    )


def pid(_: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def test_a_cluster_is_used_as_large_as_it_is() -> None:
    """Three batches a worker that the cluster has are in flight, whatever number of local processes was asked for."""
    drawn: list[int] = []

    def batches() -> Iterator[int]:
        for number in range(40):
            drawn.append(number)
            yield number

    with cluster(3) as own:
        results = map_batches(pid, batches(), num_workers=0, scheduler=own.scheduler_address)
        first = next(results)
        assert len(drawn) == 9
        rest = list(results)
        assert len(rest) == 39
        assert len({first, *rest}) == 3
        assert os.getpid() not in {first, *rest}
        own.scale(1)
        own.sync(own._correct_state)
        assert list(map_batches(square_slowly_if_even, range(5), 0, own.scheduler_address)) == [0, 1, 4, 9, 16]


def test_a_cluster_without_workers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "WAIT_FOR_WORKERS_S", 0.2)
    with cluster(0) as own, pytest.raises(PipelineError, match=r"no workers[\s\S]*tcp://127"):
        list(map_batches(pid, [1], 0, own.scheduler_address))


def test_nobody_answers_at_the_schedulers_address(monkeypatch: pytest.MonkeyPatch) -> None:
    import dask

    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}), pytest.raises(OSError, match=r"127\.0\.0\.1:9"):
        list(map_batches(pid, [1], 0, "tcp://127.0.0.1:9"))
