"""Batches over Dask workers: results come back in the order of the batches, whatever worker was first or died."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline_lib.core.errors import PipelineError
from pipeline_lib.core.own_process import OwnProcess, ProcessDied

if TYPE_CHECKING:
    from distributed import Client

B = TypeVar("B")
R = TypeVar("R")
Crashed = Callable[[Any, str], Any]
BATCHES_A_THREAD = 3
WAIT_FOR_WORKERS_S = 120.0
NUM_TRIES = 3  # a process may also be killed by chance: by a person, or by a system that is short of memory
LOOPBACK, NO_ROUTES = "127.0.0.1:0", list[str]()
_of_thread = threading.local()


def map_batches(
    function: Callable[[B], R],
    batches: Iterable[B],
    num_workers: int,
    scheduler: str | None = None,
    crashed: Crashed | None = None,
) -> Iterator[R]:
    """Yield function(batch) for each batch, in order, computed on Dask workers.

    Every thread of a worker computes in a process of its own (core.own_process), one batch after the other: what is not safe
    in threads is right on a worker of any number of them, and a batch that kills its process leaves the worker alive. It is
    computed again, three times at most. At most three batches a thread are in flight, so memory does not grow with the number
    of batches.

    Args:
        function: what a worker does; picklable, small (it is sent with each batch), and with absolute paths: a worker of a
            cluster has its own working directory.
        batches: drawn as results are taken.
        num_workers: local processes. Dask's scheduler and worker then live in this process and talk within it: no other user
            of the machine can send them work. 0: one process, without Dask.
        scheduler: address of a Dask cluster in place of local processes: all workers that it has, also those that join
            or leave meanwhile. Files must then be on a file system that they share.
        crashed: what stands for an item whose computation alone ends its process three times, called with the item and how
            the process ended. A batch is then a list, the function returns a list with one result an item, and a batch that
            ends its process is halved until the one item is found. None: such a batch is an error.

    Raises:
        PipelineError: the cluster has no workers, or a batch ended its process three times.
        OSError: no scheduler answers at the address.
    """
    if scheduler is None and num_workers == 0:
        with closing(OwnProcess()) as process:
            yield from (_computed(process, function, batch, crashed) for batch in batches)
        return
    with _client(num_workers, scheduler) as client:
        yield from _windowed(client, partial(_on_worker, function, crashed), batches)


@contextmanager
def _client(num_workers: int, scheduler: str | None) -> Iterator["Client"]:
    import dask
    from distributed import Client, LocalCluster

    dask.config.set({"distributed.admin.tick.limit": "60s"})
    logging.getLogger("distributed").setLevel(logging.ERROR)  # its comings and goings would bury the stage's own lines
    if scheduler is None:
        # Dask opens a web server for scheduler and for worker, whatever it is told: on loopback, and they tell nothing.
        dask.config.set({f"distributed.{kind}.http.routes": NO_ROUTES for kind in ("scheduler", "worker")})
        local = LocalCluster(
            n_workers=1,
            threads_per_worker=num_workers,
            processes=False,
            memory_limit=None,
            dashboard_address=LOOPBACK,
            worker_dashboard_address=LOOPBACK,
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


def _windowed(client: "Client", compute: Callable[[B], R], batches: Iterable[B]) -> Iterator[R]:
    remaining = iter(batches)
    in_flight: deque[Any] = deque()
    has_more = True
    while in_flight or has_more:
        num_threads = sum(
            client.nthreads().values()
        )  # of the whole cluster; none for a moment where a worker is replaced
        while has_more and len(in_flight) < BATCHES_A_THREAD * max(1, num_threads):
            try:
                batch = next(remaining)
            except StopIteration:
                has_more = False
            else:
                in_flight.append(client.submit(compute, batch, pure=False))
        if in_flight:
            yield in_flight.popleft().result()


def _on_worker(function: Callable[[Any], Any], crashed: Crashed | None, batch: Any) -> Any:
    """Compute in the process of this thread, which ends with it."""
    if not hasattr(_of_thread, "process"):
        _of_thread.process = OwnProcess()
    return _computed(_of_thread.process, function, batch, crashed)


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "func", function).__name__)  # of a partial: what it calls


def _computed(process: OwnProcess, function: Callable[[Any], Any], batch: Any, crashed: Crashed | None) -> Any:
    for _ in range(NUM_TRIES):
        try:
            return process(function, batch)
        except ProcessDied as died:
            how = str(died)
            if crashed and len(batch) > 1:
                middle = len(batch) // 2
                halves = (batch[:middle], batch[middle:])
                return [result for half in halves for result in _computed(process, function, half, crashed)]
    if crashed is None:
        raise PipelineError(f"A batch could not be computed in {NUM_TRIES} tries.", got=how, where=_name(function))
    return [crashed(batch[0], how)]
