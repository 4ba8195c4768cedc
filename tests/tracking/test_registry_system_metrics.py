"""The machine's figures beside a stage's: there while it runs, gone with it, and never in its way."""

import itertools
import logging
import sys
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import psutil
import pytest
from in_mlflow import sent

from pipeline_lib.core.errors import DataError
from pipeline_lib.tracking.stage_run import stage_run
from pipeline_lib.tracking.system_metrics import sampling_interval_s


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")


def monitors() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "SystemMetrics"]


def test_interval_grows_with_the_stage() -> None:
    assert [sampling_interval_s(elapsed) for elapsed in (0, 200, 1000, 6000, 1e6)] == [2, 2, 10, 60, 60]


def test_stage_has_the_machines_figures(workplace: Path, often: None, capfd: pytest.CaptureFixture[str]) -> None:
    with stage_run("train@a", {}, {}) as run:
        (thread,) = monitors()
        assert thread.daemon  # else a stage that hangs in its end would keep it, and it the process
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            pass  # a core at work
    assert not monitors()
    client, found, _ = sent(run)
    figures = found.data.metrics
    kinds = {
        "cpu_utilization_percentage",
        "system_memory_usage_megabytes",
        "disk_usage_percentage",
        "network_receive_megabytes",
    }
    assert {f"system/{kind}" for kind in kinds} <= figures.keys()
    history = client.get_metric_history(found.info.run_id, "system/cpu_utilization_percentage")
    assert [point.step for point in history] == list(range(len(history)))
    assert len(history) >= 3  # of about nine; the machine may be busy
    assert all(point.value > 0 for point in history)  # psutil says 0 first
    captured = capfd.readouterr()
    assert "monitor" not in captured.out + captured.err


@pytest.mark.parametrize("error", [DataError("broken"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_monitor_ends_with_a_stage_that_fails(workplace: Path, often: None, error: BaseException) -> None:
    def stage() -> None:
        with stage_run("train@a", {}, {}):
            assert monitors()
            raise error

    with pytest.raises(type(error)):
        stage()
    assert not monitors()


def test_interval_lengthens_while_a_stage_runs(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that has gone on by an hour after the first sample, the next one is 36 s away: no second one comes."""
    from pipeline_lib.tracking import system_metrics

    monkeypatch.setattr(system_metrics, "FIRST_SAMPLE_S", 0.1)
    times = itertools.chain([0.0], itertools.repeat(3600.0))
    clock = SimpleNamespace(monotonic=lambda: next(times))
    monkeypatch.setattr(system_metrics, "time", clock)
    with stage_run("train@a", {}, {}) as run:
        time.sleep(2.0)
    client, found, _ = sent(run)
    assert len(client.get_metric_history(found.info.run_id, "system/disk_usage_percentage")) == 1


def test_stage_runs_where_the_machine_cannot_be_read(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(psutil, "net_io_counters", lambda: None)  # psutil's answer where there is no network device
    with caplog.at_level(logging.WARNING, "face_verifier"), stage_run("train@a", {}, {}) as run:
        for thread in monitors():
            thread.join(timeout=10)
    assert sent(run)[1].info.status == "FINISHED"
    assert "No system metrics are recorded" in caplog.text


def test_gpus_are_among_the_figures(workplace: Path, often: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nvidia-ml-py (module pynvml) finds one: here a stand-in."""
    pynvml: Any = ModuleType("pynvml")
    pynvml.NVMLError = RuntimeError
    pynvml.nvmlInit = lambda: None
    pynvml.nvmlDeviceGetCount = lambda: 1
    pynvml.nvmlDeviceGetHandleByIndex = lambda index: index
    pynvml.nvmlDeviceGetMemoryInfo = lambda handle: SimpleNamespace(used=25e6, total=100e6)
    pynvml.nvmlDeviceGetUtilizationRates = lambda handle: SimpleNamespace(gpu=75)
    pynvml.nvmlDeviceGetPowerUsage = lambda handle: 100_000
    pynvml.nvmlDeviceGetEnforcedPowerLimit = lambda handle: 400_000
    monkeypatch.setitem(sys.modules, "pynvml", pynvml)
    with stage_run("train@a", {}, {}) as run:
        time.sleep(1.5)
    figures = sent(run)[1].data.metrics
    assert figures["system/gpu_0_power_usage_percentage"] == 25
    assert (figures["system/gpu_0_utilization_percentage"], figures["system/gpu_0_memory_usage_megabytes"]) == (75, 25)


def test_names_are_those_of_mlflows_monitor() -> None:
    """So that MLflow's page of system metrics shows them: MLflow itself is the oracle."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    from pipeline_lib.tracking.system_metrics import _machine, _network

    theirs: set[str] = set()
    for monitor in (CPUMonitor(), DiskMonitor(), NetworkMonitor()):
        monitor.collect_metrics()
        theirs |= set(monitor.aggregate_metrics())
    assert {*_machine(), *_network(psutil.net_io_counters())} == theirs
