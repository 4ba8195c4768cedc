"""Progress of long work: a bar on a terminal, log lines elsewhere."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

LOG_EVERY_S = 10.0
log = logging.getLogger("face_verifier")
T = TypeVar("T")


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield `items` and show how many of `total` are done."""
    if sys.stderr.isatty():
        yield from tqdm(items, desc=what, total=total)
        return
    started = last = time.monotonic()
    done = 0
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= LOG_EVERY_S:
            log.info("%s: %d/%s, %.1f/s", what, done, total if total is not None else "?", done / (now - started))
            last = now
    log.info("%s: %d in %.1f s", what, done, time.monotonic() - started)
