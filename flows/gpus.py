"""Which GPUs a stage sees when several stages run at once on one machine."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline_lib.core.errors import PipelineError

VARIABLE = "CUDA_VISIBLE_DEVICES"


class GpuPool:
    """Lends stages GPUs of their own; threads that ask for more than are free wait.

    Args:
        names: as CUDA_VISIBLE_DEVICES lists them; empty where there is nothing to divide.
    """

    def __init__(self, names: list[str]) -> None:
        self._free, self.size = list(names), len(names)
        self._changed = threading.Condition()

    @contextmanager
    def lent(self, num: int) -> Iterator[dict[str, str]]:
        """The environment variable that shows a stage `num` GPUs, which are its own inside the block; 0 shows it none.

        Raises:
            PipelineError: there are fewer in all.
        """
        if not self.size:
            yield {}
            return
        if num > self.size:
            raise PipelineError(
                "A stage wants more GPUs than there are.", got=num, allowed=self.size, where="machine.yaml, processes"
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
    """The entries of CUDA_VISIBLE_DEVICES; where it is unset, the number of each GPU that nvidia-smi lists."""
    if VARIABLE in os.environ:
        return [name.strip() for name in os.environ[VARIABLE].split(",") if name.strip()]
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):  # no driver, no GPU
        return []
    return [str(number) for number, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU ")]
