"""Batches and larger tasks over Dask workers: results come back in order, whatever worker was first or died."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pipeline_lib.core.errors import PipelineError
from pipeline_lib.core.own_process import OwnProcess, ProcessDied

if TYPE_CHECKING:
    from distributed import Client

B = TypeVar("B")
R = TypeVar("R")
Crashed = Callable[[Any, str], Any]
Report = Callable[[int], None]
BATCHES_A_THREAD = 3
WAIT_FOR_WORKERS_S = 120.0
NUM_TRIES = 3  # a process may also be killed by chance: by a person, or by a system that is short of memory
REPORTS = "face-verifier-done"  # a topic of the scheduler
NONE_YET = object()
LOOPBACK, NO_ROUTES = "127.0.0.1:0", list[str]()
_of_thread = threading.local()
log = logging.getLogger("face_verifier")


class Workers(NamedTuple):
    """Who computes.

    Args:
        num: local processes. Dask's scheduler and worker then live in this process and talk within it: no other user of the
            machine can send them work. 0: one process, without Dask.
        scheduler: address of a Dask cluster in place of local processes: all workers that it has, also those that join or
            leave meanwhile. Files must then be on a file system that they share.
        memory_bytes: that a worker's process may hold (core.own_process); None for no limit.
    """

    num: int
    scheduler: str | None = None
    memory_bytes: int | None = None


class Hand:
    """A thread of a worker, with the process in which it computes and a line to who waits for it.

    Args:
        process: of this thread.
        report: called with the number of items that are done.
    """

    def __init__(self, process: OwnProcess, report: Report) -> None:
        self._process, self.report = process, report

    def parts(self, function: Callable[[Any], R], batch: Any, crashed: Callable[[Any, str], R] | None) -> list[R]:
        """[function(batch)], or the results of its parts where the batch ends its process: it is then halved until the item
        that does so alone is found; for which crashed(item, how the process ended) stands.

        Raises:
            PipelineError: a batch, of one item where crashed is given, ended its process three times, and nothing stands for it.
        """
        for _ in range(NUM_TRIES):
            try:
                return [self._process(function, batch)]
            except ProcessDied as died:
                how = str(died)
                if crashed and len(batch) > 1:
                    middle = len(batch) // 2
                    return [
                        part
                        for half in (batch[:middle], batch[middle:])
                        for part in self.parts(function, half, crashed)
                    ]
        if crashed is None:
            name = str(getattr(function, "func", function).__name__)  # of a partial: what it calls
            raise PipelineError(f"A batch could not be computed in {NUM_TRIES} tries.", got=how, where=name)
        return [crashed(batch[0], how)]


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
        num_workers, scheduler: see Workers.
        crashed: what stands for an item whose computation alone ends its process three times, called with the item and how
            the process ended. A batch is then a list, the function returns a list with one result an item, and a batch that
            ends its process is halved until the one item is found. None: such a batch is an error.

    Raises:
        As map_tasks; PipelineError: a batch ended its process three times.
    """
    task = partial(_one_batch, function=function, crashed=crashed)
    yield from map_tasks(task, batches, Workers(num_workers, scheduler))


def map_tasks(
    task: Callable[[Hand, B], R], items: Iterable[B], workers: Workers, report: Report = lambda num: None
) -> Iterator[R]:
    """Yield task(hand, item) for each item, in order; a task runs in a thread of a worker, and what may die in its process.

    Args:
        task: picklable, small, with absolute paths, see map_batches. Dask runs it again where a worker is lost.
        items: drawn as results are taken, at most three a thread ahead.
        workers: who computes.
        report: called, in whatever thread, with the numbers that tasks report.

    Raises:
        PipelineError: the cluster has no workers.
        OSError: no scheduler answers at the address.
    """
    if workers.scheduler is None and workers.num == 0:
        with closing(OwnProcess(workers.memory_bytes)) as process:
            yield from (task(Hand(process, report), item) for item in items)
        return
    with _client(workers.num, workers.scheduler) as client:
        client.subscribe_topic(REPORTS, lambda event: report(event[1]))
        yield from _windowed(client, partial(_on_worker, task, workers.memory_bytes), items)


def _one_batch(hand: Hand, batch: Any, function: Callable[[Any], Any], crashed: Crashed | None) -> Any:
    if crashed is None:
        return hand.parts(function, batch, None)[0]
    parts: list[list[Any]] = hand.parts(function, batch, lambda item, how: [crashed(item, how)])
    return [result for part in parts for result in part]


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
        log.info("Dask's dashboard: %s", client.dashboard_link)
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


def _on_worker(task: Callable[[Hand, Any], Any], memory_bytes: int | None, item: Any) -> Any:
    """Compute with the process of this thread, which ends with it."""
    from distributed import get_worker

    if getattr(_of_thread, "memory_bytes", NONE_YET) != memory_bytes:
        _of_thread.process, _of_thread.memory_bytes = OwnProcess(memory_bytes), memory_bytes
    return task(Hand(_of_thread.process, partial(get_worker().log_event, REPORTS)), item)
