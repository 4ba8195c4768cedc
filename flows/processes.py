"""Stopping processes that lead a group of their own, with everything they have started."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline_lib.core.errors import PipelineError

POLL_S = 0.05


def stop(*processes: "subprocess.Popen[Any]", grace_s: float) -> None:
    """Ask these groups to end, all at once, and kill what is left of them after `grace_s` seconds."""
    for process in processes:
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    for process in processes:
        # The leader may be gone (and reaped) before its children have saved their work.
        while (process.poll() is None or _signal(process, 0)) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        _signal(process, signal.SIGKILL)
        process.wait()


class Processes:
    """Those that run now, each in a thread that waits for it; another thread stops them all.

    Args:
        grace_s: how long one that is told to stop may take before it is killed.
    """

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self.stopped = False

    @contextmanager
    def start(self, command: list[str], **options: Any) -> "Iterator[subprocess.Popen[str]]":
        """A process that leads its own group, its output as text on `stdout`; the block's end waits for it.

        Raises:
            PipelineError: all have been stopped.
        """
        with self._lock:
            if self.stopped:
                raise PipelineError("Not started: everything is being stopped.", got=command)
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
                **options,
            )
            self._running.add(process)
        try:
            yield process
            process.wait()
        finally:
            if process.poll() is None:
                stop(process, grace_s=self._grace_s)
            with self._lock:
                self._running.discard(process)

    def stop(self) -> None:
        """Stop all that run, as `stop` does; none starts afterwards."""
        with self._lock:
            self.stopped = True
            running = list(self._running)
        stop(*running, grace_s=self._grace_s)


def _signal(process: "subprocess.Popen[Any]", number: int) -> bool:
    """Whether there was a group to take the signal."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True
