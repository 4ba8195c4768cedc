"""Who is served: one request is computed at a time, a few wait, and who comes when all places are taken is sent away."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from starlette.requests import Request

from pipeline_lib.delivery.serve.limits import PLACES, RETRY_AFTER_S, Refused, WentAway

T = TypeVar("T")


class Places:
    """Of one event loop; `taken` counts those that are read, wait or are computed."""

    def __init__(self, num: int = PLACES) -> None:
        self.num, self.taken = num, 0
        self._one_at_a_time = ThreadPoolExecutor(1, "verifier")

    @contextmanager
    def take(self) -> Iterator[None]:
        """Hold a place for the block; raises Refused (503) where there is none."""
        if self.taken >= self.num:
            again = {"Retry-After": str(RETRY_AFTER_S)}
            raise Refused(
                503, "The server is busy; try again in a moment.", got=f"{self.taken} requests", headers=again
            )
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    async def compute(self, request: Request, function: Callable[[], T]) -> T:
        """The function's result, in its turn; of a client that goes away before, nothing is computed.

        Raises:
            WentAway: the client did; what was begun ends unseen.
        """
        work = asyncio.wrap_future(self._one_at_a_time.submit(function))
        gone = asyncio.ensure_future(_is_gone(request))
        both: set[asyncio.Future[Any]] = {work, gone}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise WentAway
            return work.result()
        finally:
            work.cancel()
            gone.cancel()

    async def between(self, function: Callable[[], None]) -> None:
        """Call a function while nothing is computed."""
        await asyncio.wrap_future(self._one_at_a_time.submit(function))

    def close(self) -> None:
        """Forget who waits, and wait for what is computed."""
        self._one_at_a_time.shutdown(cancel_futures=True)


async def _is_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
