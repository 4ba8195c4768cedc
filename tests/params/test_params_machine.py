"""machine.yaml: which file, what auto means, and what is refused."""

import os
from pathlib import Path

import pytest

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.params.machine import STAGES_AT_ONCE, VARIABLE, Machine, load_machine


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv(STAGES_AT_ONCE, raising=False)


def test_the_file_of_the_folder_or_the_named_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_machine() == Machine()
    (tmp_path / "machine.yaml").write_text("workers: 3\n")
    assert load_machine().workers == 3
    (tmp_path / "other.yaml").write_text("workers: 5\ntracking: {uri: 'http://127.0.0.1:5000'}\n")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "other.yaml"))
    assert (load_machine().workers, load_machine().tracking.uri) == (5, "http://127.0.0.1:5000")
    monkeypatch.setenv(VARIABLE, "gone.yaml")
    with pytest.raises(ParamsError, match=r"missing[\s\S]*gone\.yaml"):
        load_machine()


def test_the_repositorys_file_says_the_defaults(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    assert load_machine() == Machine()


def test_auto_is_a_gpu_each_or_the_cores_among_those_who_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert Machine().num_processes(num_gpus=3) == 3
    assert Machine().num_processes(num_gpus=0) == 8
    assert Machine(threads_per_process=4).num_processes(num_gpus=0) == 2
    assert Machine(processes=5).num_processes(num_gpus=3) == 5
    assert Machine().num_workers == 8
    assert Machine(workers=0).num_workers == 0
    monkeypatch.setenv(STAGES_AT_ONCE, "3")
    assert Machine().num_workers == Machine().num_processes(num_gpus=0) == 2
    monkeypatch.setenv(STAGES_AT_ONCE, "99")
    assert Machine().num_workers == Machine(threads_per_process=4).num_processes(num_gpus=0) == 1


@pytest.mark.parametrize("text", ["processes: 0", "workers: many", "nodes: {rank: -1}", "gpus: 2", "stages_at_once: 0"])
def test_wrong_values_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "machine.yaml").write_text(text)
    with pytest.raises(ParamsError, match=rf"{text.partition(':')[0]}[\s\S]*machine\.yaml"):
        load_machine()
