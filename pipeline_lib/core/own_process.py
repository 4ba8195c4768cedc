"""A function computed in a process of its own: nothing else runs beside it there, and what kills it kills nothing else."""

import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import TypeVar

import cloudpickle

from pipeline_lib.core.errors import PipelineError
from pipeline_lib.core.memory import keep_freed_memory

A = TypeVar("A")
R = TypeVar("R")
LOOK_EVERY_S = 0.1
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}


class ProcessDied(PipelineError):
    """The process ended before it answered; the message says how: killed by a signal, or an exit code."""


class OwnProcess:
    """A Python process that computes functions with one thread; started at the first call, and anew after one that ended it.

    An object is used by one thread at a time. The process is reached through a pipe alone, and ends with the object, with
    close(), or with the process that made it, however that ends. (multiprocessing.Process would not do: a worker under
    Dask's nanny may have no children of that kind.)

    Args:
        memory_bytes: a process that holds more memory is ended as one that died; None for no limit. What holds it is looked at
            from outside ten times a second, so that no code in the process can keep it from being seen.
    """

    def __init__(self, memory_bytes: int | None = None) -> None:
        self._memory_bytes = memory_bytes
        self._running: tuple[subprocess.Popen[bytes], Connection] | None = None
        self._too_large = ""  # what to say of a process that was ended for it

    def __call__(self, function: Callable[[A], R], argument: A) -> R:
        """function(argument), computed there.

        Args:
            function, argument: picklable, as is the result.

        Raises:
            ProcessDied: the process ended meanwhile.
            Exception: whatever function raised.
        """
        process, connection = self._running = self._running or _start()
        self._too_large = ""
        try:
            connection.send_bytes(cloudpickle.dumps((function, argument)))
            while not connection.poll(LOOK_EVERY_S if self._memory_bytes else None):
                self._end_if_too_large(process)
            answer = connection.recv_bytes()
        except (EOFError, ConnectionError):
            self._running = None
            connection.close()
            return_code = process.wait()
            raise ProcessDied(self._too_large or _in_words(return_code)) from None
        succeeded, result = pickle.loads(answer)
        if not succeeded:
            raise result
        return result  # type: ignore[no-any-return]

    def _end_if_too_large(self, process: subprocess.Popen[bytes]) -> None:
        import psutil

        try:
            held = psutil.Process(process.pid).memory_info().rss
        except psutil.NoSuchProcess:
            return  # the pipe says so, too
        if self._memory_bytes and held > self._memory_bytes:
            self._too_large = f"its process held {held} bytes of memory, and may hold {self._memory_bytes}"
            process.kill()

    def close(self) -> None:
        """End the process, whatever it is computing."""
        if self._running:
            process, connection = self._running
            self._running = None
            connection.close()
            process.kill()
            process.wait()

    __del__ = close


def _start() -> tuple[subprocess.Popen[bytes], Connection]:
    here, there = Pipe()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", __name__, str(there.fileno())],
        env={**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.DEVNULL,
        pass_fds=[there.fileno()],
    )
    there.close()
    return process, here


def _in_words(return_code: int) -> str:
    if return_code < 0:
        return f"its process was killed by {signal.Signals(-return_code).name}"
    return f"its process ended with exit code {return_code}"


def _serve(connection: Connection) -> None:
    """Answer until the other end is closed."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a terminal's Ctrl-C: who waits for the answer decides, and closes the pipe
    keep_freed_memory()
    try:
        while True:
            connection.send_bytes(_answer(connection.recv_bytes()))
    except (EOFError, ConnectionError):
        return


def _answer(question: bytes) -> bytes:
    try:
        function, argument = pickle.loads(question)
        return pickle.dumps((True, function(argument)))
    except Exception as error:  # noqa: BLE001 (raised again by the caller, in its own process)
        error.add_note(f"In a process of its own:\n{traceback.format_exc()}")
        return pickle.dumps((False, error))


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])))
