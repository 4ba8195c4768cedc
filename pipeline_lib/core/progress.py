"""Progress of long work: a bar on a terminal, log lines elsewhere."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

LOG_EVERY_S = 10.0
log = logging.getLogger("face_verifier")
T = TypeVar("T")


def track(
    items: Iterable[T], what: str, total: int | None = None, count: Callable[[T], int] = lambda _: 1
) -> Iterator[T]:
    """Yield `items` and show how many of `total` are done; an item counts for `count` of it."""
    if sys.stderr.isatty():
        with tqdm(desc=what, total=total) as bar:
            for item in items:
                yield item
                bar.update(count(item))
        return
    started = last = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += count(item)
        now = time.monotonic()
        if now - last >= LOG_EVERY_S:
            log.info("%s: %d/%s, %.1f/s", what, done, total if total is not None else "?", done / (now - started))
            last = now
    log.info("%s: %d in %.1f s", what, done, time.monotonic() - started)
