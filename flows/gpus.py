"""Which GPUs a stage sees when several stages train at once on one machine."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline_lib.core.errors import PipelineError

VARIABLE = "CUDA_VISIBLE_DEVICES"


class GpuPool:
    """Lends each training stage GPUs of its own; threads that ask for more than are free wait.

    Args:
        names: as CUDA_VISIBLE_DEVICES lists them; empty where there is nothing to divide, and every stage sees them all.
    """

    def __init__(self, names: list[str]) -> None:
        self._free, self._size = list(names), len(names)
        self._changed = threading.Condition()

    @contextmanager
    def lent(self, num: int) -> Iterator[dict[str, str]]:
        """The environment variable that shows a stage `num` GPUs, which are its own inside the block.

        A stage that asks for none sees what this process sees.

        Raises:
            PipelineError: there are fewer in all.
        """
        if not self._size or not num:
            yield {}
            return
        if num > self._size:
            raise PipelineError(
                "A training stage wants more GPUs than there are.",
                got=num,
                allowed=self._size,
                where="train.num_processes",
            )
        with self._changed:
            self._changed.wait_for(lambda: len(self._free) >= num)
            mine, self._free = self._free[:num], self._free[num:]
        try:
            yield {VARIABLE: ",".join(mine)}
        finally:
            with self._changed:
                self._free += mine
                self._changed.notify_all()


def visible_gpus() -> list[str]:
    """The entries of CUDA_VISIBLE_DEVICES; none if it is unset."""
    return [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]
