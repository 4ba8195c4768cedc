"""Batches over Dask workers: results come back in the order of the batches, whatever worker was first or died."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline_lib.core.errors import PipelineError
from pipeline_lib.core.memory import keep_freed_memory

if TYPE_CHECKING:
    from distributed import Client

B = TypeVar("B")
R = TypeVar("R")
BATCHES_A_WORKER = 3
WAIT_FOR_WORKERS_S = 120.0


def map_batches(
    function: Callable[[B], R], batches: Iterable[B], num_workers: int, scheduler: str | None = None
) -> Iterator[R]:
    """Yield function(batch) for each batch, in order, computed on Dask workers.

    At most three batches a worker are in flight, so memory does not grow with the number of batches. A worker that is
    killed is replaced and its batch computed again; a batch that kills three workers raises distributed.KilledWorker.

    Args:
        function: what a worker does; picklable.
        batches: drawn as results are taken.
        num_workers: local processes; 0 computes in this one, for tests and for debugging.
        scheduler: address of a Dask cluster in place of local processes: all workers that it has, also those that join
            or leave meanwhile. Files must then be on a file system that they share.

    Raises:
        PipelineError: the cluster has no workers.
        OSError: no scheduler answers at the address.
    """
    if scheduler is None and num_workers == 0:
        yield from map(function, batches)
        return
    with _client(num_workers, scheduler) as client:
        yield from _windowed(client, function, batches)


@contextmanager
def _client(num_workers: int, scheduler: str | None) -> Iterator["Client"]:
    import dask
    from distributed import Client, LocalCluster

    dask.config.set({"distributed.worker.daemon": False, "distributed.admin.tick.limit": "60s"})
    logging.getLogger("distributed").setLevel(logging.ERROR)  # its comings and goings would bury the stage's own lines
    if scheduler is None:
        local = LocalCluster(
            n_workers=num_workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.ERROR,
        )
        with local, Client(local) as client:
            yield client
        return
    with Client(scheduler) as client:
        try:
            client.wait_for_workers(1, timeout=WAIT_FOR_WORKERS_S)
        except TimeoutError:
            what = f"The Dask cluster has no workers, after {WAIT_FOR_WORKERS_S:.0f} s of waiting."
            raise PipelineError(what, got=scheduler, where="machine.yaml, dask") from None
        yield client


def _windowed(client: "Client", function: Callable[[B], R], batches: Iterable[B]) -> Iterator[R]:
    remaining = iter(batches)
    in_flight: deque[Any] = deque()
    has_more = True
    while in_flight or has_more:
        window = BATCHES_A_WORKER * max(1, len(client.nthreads()))  # none for a moment: a killed one is being replaced
        while has_more and len(in_flight) < window:
            try:
                batch = next(remaining)
            except StopIteration:
                has_more = False
            else:
                in_flight.append(client.submit(_on_worker, function, batch, pure=False))
        if in_flight:
            yield in_flight.popleft().result()


def _on_worker(function: Callable[[B], R], batch: B) -> R:
    keep_freed_memory()
    return function(batch)
