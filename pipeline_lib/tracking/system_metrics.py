"""CPU, memory, disk, network and GPU of the machine while a stage runs, by MLflow's own monitor."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from pipeline_lib.tracking.store import import_mlflow

log = logging.getLogger("face_verifier")

SHORTEST_INTERVAL_S, LONGEST_INTERVAL_S = 2.0, 60.0
ELAPSED_SHARE = 0.01


def sampling_interval_s(elapsed_s: float) -> float:
    """1 % of the time that has passed, within [2, 60] s: a stage of 10 s has samples, and one of a week 10 000, not 300 000."""
    return min(max(SHORTEST_INTERVAL_S, ELAPSED_SHARE * elapsed_s), LONGEST_INTERVAL_S)


@contextmanager
def system_metrics(run_id: str, tracking_uri: str) -> Iterator[None]:
    """Log `system/...` figures of this machine to a run until the block ends, whatever ends it.

    GPUs are among them where nvidia-ml-py finds some. A sample takes about 12 ms of a core (measured on 2.1 GHz), 0.6 % at
    the shortest interval. MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL, in seconds, sets a fixed interval. The thread is a daemon:
    it does not outlive the process. Where the machine cannot be read, the log says so and the stage runs on.
    """
    try:
        monitor = _monitor(run_id, tracking_uri)
    except (AttributeError, OSError, psutil.Error) as error:  # a container without network devices or /proc
        log.warning("No system metrics are recorded: %s: %s", type(error).__name__, error)
        yield
        return
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


def _monitor(run_id: str, tracking_uri: str) -> Any:
    import_mlflow()
    from mlflow.environment_variables import MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    is_fixed = MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL.is_set()

    class StageMonitor(SystemMetricsMonitor):  # type: ignore[misc]  # mlflow is not followed by mypy
        """MLflow's, with a first CPU figure that is true, and an interval that grows."""

        def monitor(self) -> None:
            self.started = time.monotonic()
            psutil.cpu_percent()  # a thread's first call answers 0: it has no earlier one to compare with
            self._shutdown_event.wait(SHORTEST_INTERVAL_S / 4)
            super().monitor()

        def publish_metrics(self, metrics: dict[str, float]) -> None:
            super().publish_metrics(metrics)
            if not is_fixed:
                self.sampling_interval = sampling_interval_s(time.monotonic() - self.started)

    return StageMonitor(run_id, sampling_interval=SHORTEST_INTERVAL_S, tracking_uri=tracking_uri)
