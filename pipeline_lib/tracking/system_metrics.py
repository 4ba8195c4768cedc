"""CPU, memory, disk, network and GPU of the machine while a stage runs, named as MLflow's own monitor names them."""

import importlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psutil

log = logging.getLogger("face_verifier")

INTERVAL = "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL"
SHORTEST_INTERVAL_S, LONGEST_INTERVAL_S = 2.0, 60.0
ELAPSED_SHARE = 0.01
FIRST_SAMPLE_S = 0.5  # a shorter stage has none
MEGABYTE = 1e6

LogMetrics = Callable[[Mapping[str, float], int], None]


def sampling_interval_s(elapsed_s: float) -> float:
    """1 % of the time that has passed, within [2, 60] s: a stage of 10 s has samples, and one of a week 10 000, not 300 000."""
    return min(max(SHORTEST_INTERVAL_S, ELAPSED_SHARE * elapsed_s), LONGEST_INTERVAL_S)


@contextmanager
def system_metrics(log_metrics: LogMetrics) -> Iterator[None]:
    """Log `system/...` figures of this machine, steps 0, 1, ..., until the block ends, whatever ends it.

    GPUs are among them where nvidia-ml-py finds some. A sample takes under 1 ms of a core (measured on 2.1 GHz).
    MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL, in seconds, sets a fixed interval. The thread is a daemon: it does not outlive the
    process. Where the machine cannot be read, the log says so and the stage runs on.
    """
    stop = threading.Event()
    thread = threading.Thread(target=_sample, args=(log_metrics, stop), name="SystemMetrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=1.0)  # a driver that does not answer keeps the thread, and not the stage


def _sample(log_metrics: LogMetrics, stop: threading.Event) -> None:
    fixed, started = float(os.environ.get(INTERVAL) or 0.0), time.monotonic()
    psutil.cpu_percent()  # a process's first call answers 0: it has no earlier one to compare with
    step, wait_s = 0, fixed or FIRST_SAMPLE_S
    gpus: list[Any] | None = None
    try:
        network = psutil.net_io_counters()
        while not stop.wait(wait_s):
            if gpus is None:
                gpus = _open_gpus()
            figures = {**_machine(), **_network(network), **_gpus(gpus)}
            log_metrics({f"system/{name}": value for name, value in figures.items()}, step)
            step, wait_s = step + 1, fixed or sampling_interval_s(time.monotonic() - started)
    except (AttributeError, OSError, psutil.Error) as error:  # a container without network devices or /proc
        log.warning("No system metrics are recorded: %s: %s", type(error).__name__, error)


def _machine() -> dict[str, float]:
    memory, disk = psutil.virtual_memory(), psutil.disk_usage(os.sep)
    return {
        "cpu_utilization_percentage": psutil.cpu_percent(),
        "system_memory_usage_megabytes": round(memory.used / MEGABYTE, 1),
        "system_memory_usage_percentage": round(memory.used / memory.total * 100, 1),
        "disk_usage_percentage": disk.percent,
        "disk_usage_megabytes": round(disk.used / MEGABYTE, 1),
        "disk_available_megabytes": round(disk.free / MEGABYTE, 1),
    }


def _network(before: Any) -> dict[str, float]:
    now = psutil.net_io_counters()
    return {
        "network_receive_megabytes": (now.bytes_recv - before.bytes_recv) / MEGABYTE,
        "network_transmit_megabytes": (now.bytes_sent - before.bytes_sent) / MEGABYTE,
    }


def _open_gpus() -> list[Any]:
    """NVML's handles; none without nvidia-ml-py, driver or GPU."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return []
    try:
        nvml.nvmlInit()
        return [nvml.nvmlDeviceGetHandleByIndex(number) for number in range(nvml.nvmlDeviceGetCount())]
    except nvml.NVMLError:
        return []


def _gpus(handles: list[Any]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for number, handle in enumerate(handles):
        nvml = importlib.import_module("pynvml")
        for ask in (_gpu_memory, _gpu_utilization, _gpu_power):
            try:
                found = ask(nvml, handle)
            except nvml.NVMLError:  # a slice of a GPU does not tell all of them
                continue
            figures |= {f"gpu_{number}_{name}": round(value, 1) for name, value in found.items()}
    return figures


def _gpu_memory(nvml: Any, handle: Any) -> dict[str, float]:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    share = memory.used / memory.total
    return {"memory_usage_percentage": share * 100, "memory_usage_megabytes": memory.used / MEGABYTE}


def _gpu_utilization(nvml: Any, handle: Any) -> dict[str, float]:
    return {"utilization_percentage": float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)}


def _gpu_power(nvml: Any, handle: Any) -> dict[str, float]:
    milliwatts, limit = nvml.nvmlDeviceGetPowerUsage(handle), nvml.nvmlDeviceGetEnforcedPowerLimit(handle)
    return {"power_usage_watts": milliwatts / 1000, "power_usage_percentage": milliwatts / limit * 100}
