"""Batches over Dask workers."""

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import pytest

from pipeline_lib.core import parallel
from pipeline_lib.core.errors import DataError, PipelineError
from pipeline_lib.core.parallel import Hand, Workers, map_batches, map_tasks


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


def cluster(num_workers: int, threads_per_worker: int = 1) -> Any:
    """Workers under a nanny, as `dask worker` starts them."""
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=num_workers,
        threads_per_worker=threads_per_worker,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        processes=True,
    )


def pid(_: int) -> int:
    time.sleep(0.05)
    return os.getpid()


@pytest.mark.parametrize(("num_workers", "num_threads"), [(3, 1), (2, 3)])
def test_a_cluster_is_used_as_large_as_it_is(num_workers: int, num_threads: int) -> None:
    """Three batches a thread that the cluster has are in flight, whatever number of local processes was asked for."""
    drawn: list[int] = []

    def batches() -> Iterator[int]:
        for number in range(40):
            drawn.append(number)
            yield number

    with cluster(num_workers, num_threads) as own:
        results = map_batches(pid, batches(), num_workers=0, scheduler=own.scheduler_address)
        first = next(results)
        assert len(drawn) == 3 * num_workers * num_threads
        rest = list(results)
        assert len(rest) == 39
        assert len({first, *rest}) == num_workers * num_threads
        assert os.getpid() not in {first, *rest}
        own.scale(1)
        own.sync(own._correct_state)
        assert list(map_batches(square_slowly_if_even, range(5), 0, own.scheduler_address)) == [0, 1, 4, 9, 16]


_shared: list[int] = []


def through_a_shared_object(number: int) -> int:
    """As dlib's detector keeps a picture between two calls: right where nobody else calls meanwhile."""
    _shared[:] = [number]
    time.sleep(0.02)
    return _shared[0]


def test_what_is_not_safe_in_threads_is_right_on_workers_that_have_them() -> None:
    with cluster(1, 8) as own:
        assert list(map_batches(through_a_shared_object, range(80), 0, own.scheduler_address)) == list(range(80))
    assert list(map_batches(through_a_shared_object, range(20), 4)) == list(range(20))


def die_of_three_and_eight(numbers: list[int]) -> list[int]:
    if 3 in numbers or 8 in numbers:
        os.kill(os.getpid(), signal.SIGSEGV)
    return numbers


def minus(number: int, how: str) -> int:
    assert how == "its process was killed by SIGSEGV"
    return -number


BATCHES = [[0, 1, 2, 3, 4], [5], [6, 7, 8, 9]]


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_the_items_that_end_their_process_are_found(num_workers: int) -> None:
    expected = [[0, 1, 2, -3, 4], [5], [6, 7, -8, 9]]
    assert list(map_batches(die_of_three_and_eight, BATCHES, num_workers, crashed=minus)) == expected


def test_a_cluster_survives_the_items_that_end_their_process() -> None:
    with cluster(1, 2) as own:
        found = list(map_batches(die_of_three_and_eight, BATCHES, 0, own.scheduler_address, crashed=minus))
        assert found == [[0, 1, 2, -3, 4], [5], [6, 7, -8, 9]]
        assert list(map_batches(square_slowly_if_even, range(5), 0, own.scheduler_address)) == [0, 1, 4, 9, 16]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_batch_that_nothing_can_stand_for_is_an_error(num_workers: int) -> None:
    with pytest.raises(PipelineError, match=r"3 tries[\s\S]*SIGSEGV[\s\S]*die_of_three_and_eight"):
        list(map_batches(die_of_three_and_eight, [[1], [3]], num_workers))


def open_ports() -> list[tuple[str, int]]:
    """On which this process and all that it started listen."""
    me = psutil.Process()
    connections = [one for process in (me, *me.children(recursive=True)) for one in process.net_connections()]
    return [(one.laddr.ip, one.laddr.port) for one in connections if one.status == psutil.CONN_LISTEN]


def test_local_workers_take_work_from_nobody_else() -> None:
    """Dask talks within the process; its two web servers, which cannot be left out, are on loopback and tell nothing."""
    before = open_ports()
    results = map_batches(pid, range(20), 2)
    next(results)
    opened = [port for port in open_ports() if port not in before]
    assert {ip for ip, _ in opened} <= {"127.0.0.1"}
    for ip, port in opened:
        for path in ("/info/main/workers.html", "/json/identity.json", "/metrics", "/health"):
            with pytest.raises(HTTPError, match="404"):
                urlopen(f"http://{ip}:{port}{path}", timeout=10)
    assert len(list(results)) == 19


def hold_memory(numbers: list[int]) -> list[int]:
    """Three fills 300 MB and keeps the interpreter to itself meanwhile; the others for none."""
    if 3 in numbers:
        held = b"x" * 300_000_000
        deadline = time.monotonic() + 30
        while held and time.monotonic() < deadline:
            pass
    return numbers


def too_large(number: int, how: str) -> list[int]:
    assert "bytes of memory, and may hold 200000000" in how
    return [-number]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_item_that_takes_more_memory_than_allowed_is_found(num_workers: int) -> None:
    workers = Workers(num_workers, memory_bytes=200_000_000)
    task = partial(Hand.parts, function=hold_memory, batch=[1, 2, 3, 4], crashed=too_large)
    done = map_tasks(call_with_hand, [task], workers)
    assert list(done) == [[[1, 2], [-3], [4]]]


def call_with_hand(hand: Hand, task: Any) -> Any:
    return task(hand)


def report_twice(hand: Hand, number: int) -> int:
    hand.report(number)
    hand.report(1)
    return number


@pytest.mark.parametrize("num_workers", [0, 2])
def test_tasks_say_how_far_they_are(num_workers: int) -> None:
    told: list[int] = []
    assert list(map_tasks(report_twice, [10, 20, 30], Workers(num_workers), told.append)) == [10, 20, 30]
    deadline = time.monotonic() + 10
    while len(told) < 6 and time.monotonic() < deadline:  # a message may come after the result
        time.sleep(0.01)
    assert sorted(told) == [1, 1, 1, 10, 20, 30]


def test_nothing_is_left_running() -> None:
    before = psutil.Process().children(recursive=True)
    for num_workers in (0, 2):
        results = map_batches(pid, range(20), num_workers)
        next(results)
        results.close()
        assert psutil.Process().children(recursive=True) == before


def test_a_cluster_without_workers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "WAIT_FOR_WORKERS_S", 0.2)
    with cluster(0) as own, pytest.raises(PipelineError, match=r"no workers[\s\S]*tcp://127"):
        list(map_batches(pid, [1], 0, own.scheduler_address))


def test_nobody_answers_at_the_schedulers_address(monkeypatch: pytest.MonkeyPatch) -> None:
    import dask

    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}), pytest.raises(OSError, match=r"127\.0\.0\.1:9"):
        list(map_batches(pid, [1], 0, "tcp://127.0.0.1:9"))
