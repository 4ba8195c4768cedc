"""GPUs are lent to one stage at a time."""

import threading
import time

import pytest

from flows.gpus import VARIABLE, GpuPool, visible_gpus
from pipeline_lib.core.errors import PipelineError


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
        pytest.raises(PipelineError, match=r"more GPUs[\s\S]*3[\s\S]*2[\s\S]*num_processes"),
        GpuPool(["0", "1"]).lent(3),
    ):
        pass
    with GpuPool([]).lent(3) as environment:
        assert environment == {}


def test_visible_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "0, GPU-8f1 ,")
    assert visible_gpus() == ["0", "GPU-8f1"]
    monkeypatch.delenv(VARIABLE)
    assert visible_gpus() == []
