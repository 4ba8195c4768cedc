"""GPUs are lent to one stage at a time."""

import threading
import time
from pathlib import Path

import pytest
import yaml

from flows.gpus import VARIABLE, GpuPool, visible_gpus
from pipeline_lib.core.errors import PipelineError
from pipeline_lib.params.machine import Machine


def test_no_gpu_is_in_two_hands_and_all_come_back() -> None:
    pool = GpuPool(["0", "1", "3"])
    held: list[str] = []
    most = 0
    guard = threading.Lock()

    def stage(num: int) -> None:
        nonlocal most
        with pool.lent(num) as environment:
            mine = environment[VARIABLE].split(",")
            with guard:
                assert len(mine) == num
                assert not set(mine) & set(held)
                held.extend(mine)
                most = max(most, len(held))
            time.sleep(0.01)
            with guard:
                for name in mine:
                    held.remove(name)

    failures: list[threading.ExceptHookArgs] = []
    threading.excepthook, before = failures.append, threading.excepthook
    try:
        threads = [threading.Thread(target=stage, args=(num,)) for num in [1, 2, 1, 3, 1, 2, 1, 1]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    finally:
        threading.excepthook = before
    assert not failures
    assert most == 3
    with pool.lent(3) as environment:
        assert sorted(environment[VARIABLE].split(",")) == ["0", "1", "3"]


def test_a_stage_that_fails_gives_its_gpus_back() -> None:
    pool = GpuPool(["0"])
    with pytest.raises(ValueError, match="stage"), pool.lent(1):
        raise ValueError("stage")
    with pool.lent(1) as environment:
        assert environment == {VARIABLE: "0"}


def test_more_than_there_are_is_refused_and_none_divides_nothing() -> None:
    with (
        pytest.raises(PipelineError, match=r"more GPUs[\s\S]*3[\s\S]*2[\s\S]*processes"),
        GpuPool(["0", "1"]).lent(3),
    ):
        pass
    with GpuPool([]).lent(3) as environment:
        assert environment == {}


def test_visible_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, "0, GPU-8f1 ,")
    assert visible_gpus() == ["0", "GPU-8f1"]
    monkeypatch.setenv(VARIABLE, "")
    assert visible_gpus() == []
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == []  # no driver
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nprintf 'GPU 0: H100 (UUID: GPU-1)\\nGPU 1: H100 (UUID: GPU-2)\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert visible_gpus() == ["0", "1"]


@pytest.mark.parametrize(
    ("stage", "processes", "lent"),
    [
        ("train@iresnet", "auto", 2),
        ("embed@iresnet", 3, 3),
        ("align", "auto", 2),
        ("verify", "auto", 0),
        ("report", 3, 0),
    ],
)
def test_stages_that_compute_on_gpus_are_lent_their_share(
    monkeypatch: pytest.MonkeyPatch, stage: str, processes: int | str, lent: int
) -> None:
    from flows import rebuild

    monkeypatch.setattr(rebuild, "gpus", GpuPool(["0", "1", "2", "3"]))
    assert rebuild.num_gpus(stage, Machine(processes=processes, stages_at_once=2)) == lent


def test_every_group_with_gpus_is_in_the_graph(repository: Path) -> None:
    from flows import rebuild

    stages = yaml.safe_load((repository / "dvc.yaml").read_text())["stages"]
    assert set(stages) >= rebuild.GPU_STAGES
