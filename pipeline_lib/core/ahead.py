"""Work done in threads a little ahead of its use."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def load_ahead(load: Callable[[T], R], items: Iterable[T], num_threads: int) -> Generator[R, None, None]:
    """Yield load(item) in order, computed on threads up to two items a thread ahead of their use.

    Threads suffice: reading and decoding release the interpreter's lock.
    """
    remaining = iter(items)
    executor = ThreadPoolExecutor(num_threads, thread_name_prefix="loader")
    try:
        waiting = deque(executor.submit(load, item) for item in islice(remaining, 2 * num_threads))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(executor.submit(load, item) for item in islice(remaining, 1))
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
