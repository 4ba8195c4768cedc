"""Progress of long work: a bar on a terminal, log lines elsewhere."""

import logging
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

LOG_EVERY_S = 10.0
log = logging.getLogger("face_verifier")
T = TypeVar("T")


class Progress:
    """How many of `total` things are done, how fast, and when all will be; several threads may add. Used as a context manager.

    Args:
        what: is done, for a person.
        total: how many there are; None where nobody knows.
        done: how many an earlier run left done, which say nothing of the speed.
    """

    def __init__(self, what: str, total: int | None = None, done: int = 0) -> None:
        self._what, self._total, self._first, self._done = what, total, done, done
        self._started = self._last = time.monotonic()
        self._lock = threading.Lock()
        self._bar = tqdm(desc=what, total=total, initial=done) if sys.stderr.isatty() else None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()
        elif error[0] is None:
            log.info("%s: %d in %.1f s", self._what, self._done, time.monotonic() - self._started)

    def add(self, num: int = 1) -> None:
        """So many more are done."""
        with self._lock:
            self._done += num
            if self._bar is not None:
                self._bar.update(num)
                return
            now = time.monotonic()
            if now - self._last < LOG_EVERY_S:
                return
            self._last = now
            per_s = (self._done - self._first) / (now - self._started)
            if self._total is None:
                log.info("%s: %d, %.1f/s", self._what, self._done, per_s)
            else:
                left_s = max(0, self._total - self._done) / per_s if per_s else float("inf")
                log.info("%s: %d/%d, %.1f/s, %.0f s left", self._what, self._done, self._total, per_s, left_s)


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield `items` and show how many of `total` are done."""
    with Progress(what, total) as progress:
        for item in items:
            yield item
            progress.add()
