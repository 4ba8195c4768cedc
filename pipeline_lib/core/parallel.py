"""Batches over Dask workers: results come back in the order of the batches, whatever worker was first or died."""

import itertools
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

from pipeline_lib.core.memory import keep_freed_memory

B = TypeVar("B")
R = TypeVar("R")


def map_batches(function: Callable[[B], R], batches: Iterable[B], num_workers: int) -> Iterator[R]:
    """Yield function(batch) for each batch, in order, computed on `num_workers` Dask processes.

    With DASK_SCHEDULER_ADDRESS set, the batches go to that cluster instead of local processes (files must then be on a shared
    file system). `num_workers=0` computes in this process: for tests and for debugging. At most three batches a worker are in
    flight, so memory does not grow with the number of batches. A worker that is killed is replaced and its batch computed
    again; a batch that kills three workers raises distributed.KilledWorker.
    """
    if num_workers == 0:
        yield from map(function, batches)
        return
    import dask
    from distributed import Client, LocalCluster

    dask.config.set({"distributed.worker.daemon": False, "distributed.admin.tick.limit": "60s"})
    logging.getLogger("distributed").setLevel(logging.ERROR)  # its comings and goings would bury the stage's own lines
    address = os.environ.get("DASK_SCHEDULER_ADDRESS")
    cluster = (
        None
        if address
        else LocalCluster(
            n_workers=num_workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.ERROR,
        )
    )
    try:
        with Client(address or cluster) as client:
            yield from _windowed(client, function, batches, window=3 * num_workers)
    finally:
        if cluster is not None:
            cluster.close()


def _windowed(client: "object", function: Callable[[B], R], batches: Iterable[B], window: int) -> Iterator[R]:
    remaining = iter(batches)
    submit = partial(client.submit, _on_worker, function, pure=False)  # type: ignore[attr-defined]
    in_flight = deque(submit(batch) for batch in itertools.islice(remaining, window))
    while in_flight:
        yield in_flight.popleft().result()
        in_flight.extend(submit(batch) for batch in itertools.islice(remaining, 1))


def _on_worker(function: Callable[[B], R], batch: B) -> R:
    keep_freed_memory()
    return function(batch)
