"""machine.yaml: what this machine has and where its records go. Nothing in it decides a result, so no stage depends on it."""

import os
from pathlib import Path
from typing import Literal

from pipeline_lib.core.kinds import checked
from pipeline_lib.core.parallel import Workers
from pipeline_lib.params.load import read_yaml
from pipeline_lib.params.section import NonNegative, Positive, Section

VARIABLE, DEFAULT_FILE = "FACE_VERIFIER_MACHINE", Path("machine.yaml")
STAGES_AT_ONCE = "FACE_VERIFIER_STAGES_AT_ONCE"  # set by a flow for its stages: they share the machine
Count = Positive | Literal["auto"]


class Nodes(Section):
    """Several machines train one network: the same command on each, with its own `rank`, meeting at `endpoint`."""

    count: Positive = 1
    rank: NonNegative = 0
    endpoint: str = "127.0.0.1:29500"


class Tracking(Section):
    """Where MLflow keeps runs and models: `uri`, null for mlflow.db of the repository; the runs' `experiment`."""

    uri: str | None = None
    experiment: str = "face-verifier"


class Machine(Section):
    """Every key has a default; machine.yaml says what each is for."""

    processes: Count = "auto"
    threads_per_process: Positive = 1
    workers: NonNegative | Literal["auto"] = "auto"
    dask: str | None = None
    worker_memory_bytes: Positive | None = None
    images_per_batch: Positive = 64
    photographs_per_batch: Positive = 32
    nodes: Nodes = Nodes()
    stages_at_once: Positive = 2
    log_every_steps: Positive = 20
    checkpoint_every_steps: Positive = 100
    tracking: Tracking = Tracking()

    @property
    def worker_pool(self) -> Workers:
        """Who writes shards."""
        return Workers(self.num_workers, self.dask, self.worker_memory_bytes)

    @property
    def num_workers(self) -> int:
        """Processes for detection and drawing; 0: one, without Dask."""
        return self._cores() if self.workers == "auto" else self.workers

    def num_processes(self, num_gpus: int) -> int:
        """Processes of a torchrun on this node: as set, else one a GPU, else the cores among the stages that run at once."""
        if self.processes != "auto":
            return self.processes
        return num_gpus or max(1, self._cores() // self.threads_per_process)

    def _cores(self) -> int:
        at_once = int(os.environ.get(STAGES_AT_ONCE, "1"))
        return max(1, len(os.sched_getaffinity(0)) // at_once)


def load_machine() -> Machine:
    """The file FACE_VERIFIER_MACHINE names, else machine.yaml of the working directory, else the defaults.

    Raises:
        ParamsError: the named file is missing, or a key or value is wrong.
    """
    named = os.environ.get(VARIABLE)
    path = Path(named) if named else DEFAULT_FILE
    if not named and not path.exists():
        return Machine()
    return checked(Machine, read_yaml(path), where=path)
