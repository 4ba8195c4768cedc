"""Runs: lineage, states, the shared parent, processes at once."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.tracking.stage_run import MAX_VALUE_CHARACTERS, flatten, stage_run
from pipeline_lib.tracking.store import RegistryError, artifact_folder, open_client, shown_uri, tracking_uri

STAGE = """
import sys, time
from pathlib import Path
from pipeline_lib.tracking.stage_run import stage_run
with stage_run(sys.argv[1], {"a": 1}, {}) as run:
    run.log_metrics({"x": 1.0})
    print("open", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def start_stage(stage: str, sleep_s: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", STAGE, stage, str(sleep_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ.copy())


def all_runs(client: Any) -> list[Any]:
    experiments = [item.experiment_id for item in client.search_experiments()]
    return list(client.search_runs(experiments, order_by=["attributes.start_time ASC"]))


def parents(client: Any) -> list[Any]:
    return [run for run in all_runs(client) if run.data.tags.get("kind") == "rebuild"]


def test_run_records_what_it_was_made_from(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workplace / "table").write_text("x")
    params = {"align": {"detector": "dlib", "nested": {"values": [1, 2]}}, "long": "y" * 1000}
    with stage_run("align", params, {"table": Path("table")}) as run:
        run.log_metrics({"loss": 2.0}, step=10)
        run.log_metrics({"loss": 1.0}, step=20)
        run.set_tags({"note": "n"})
        (workplace / "curve.txt").write_text("c")
        run.log_artifact(Path("curve.txt"), "plots")
    client = open_client()
    found = client.get_run(run.run_id)
    tags = found.data.tags
    assert found.info.status == "FINISHED"
    assert tags["mlflow.parentRunId"] == run.parent_run_id
    assert tags["git_commit"] == "unknown"
    assert tags["rebuild"] == client.get_run(run.parent_run_id).data.tags["rebuild"]
    assert {"dvc_lock_sha256", "hardware.cpu", "hardware.gpu", "version.torch", "version.python", "note"} <= tags.keys()
    assert found.data.params["align.detector"] == "dlib"
    assert found.data.params["align.nested.values"] == "[1, 2]"
    assert found.data.params["long"] == "y" * MAX_VALUE_CHARACTERS + "... (1000 characters)"
    assert {"stage/wall_time_s", "stage/peak_memory_bytes"} <= found.data.metrics.keys()
    assert found.data.metrics["stage/peak_memory_bytes"] > 2**25  # a Python with MLflow needs more than 32 MiB
    assert [(m.step, m.value) for m in client.get_metric_history(run.run_id, "loss")] == [(10, 2.0), (20, 1.0)]
    (dataset,) = found.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("table", "9dd4e461268c8034f5c8564e155c67a6")  # md5 of "x"
    assert [item.path for item in client.list_artifacts(run.run_id, "plots")] == ["plots/curve.txt"]
    assert (workplace / "mlartifacts").is_dir()


def test_stage_that_raises_is_failed_and_a_rerun_mends_the_rebuild(workplace: Path) -> None:
    with pytest.raises(DataError, match="broken"), stage_run("align", {}, {}) as failed:
        raise DataError("broken")
    client = open_client()
    assert client.get_run(failed.run_id).info.status == "FAILED"
    assert client.get_run(failed.run_id).data.tags["error"] == "DataError: broken"
    assert client.get_run(failed.parent_run_id).info.status == "FAILED"
    with stage_run("align", {}, {}) as again:
        assert client.get_run(again.parent_run_id).info.status == "RUNNING"
    assert again.run_id != failed.run_id
    assert again.parent_run_id == failed.parent_run_id
    assert client.get_run(again.parent_run_id).info.status == "FINISHED"


def test_interrupted_stage_is_killed(workplace: Path) -> None:
    with pytest.raises(KeyboardInterrupt), stage_run("align", {}, {}) as run:
        raise KeyboardInterrupt
    assert open_client().get_run(run.run_id).info.status == "KILLED"


def test_experiment_of_dvc_is_named(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "puffy-ox")
    with stage_run("align", {}, {}) as run:
        pass
    client = open_client()
    assert {client.get_run(one).data.tags["dvc_experiment"] for one in (run.run_id, run.parent_run_id)} == {"puffy-ox"}


def test_other_params_are_another_rebuild(workplace: Path, repository: Path) -> None:
    text = (repository / "params.yaml").read_text()
    Path("params.yaml").write_text(text)
    with stage_run("align", {}, {}) as first:
        pass
    Path("params.yaml").write_text(text + "\n# another comment\n")
    with stage_run("align", {}, {}) as second:
        pass
    assert first.parent_run_id != second.parent_run_id
    assert open_client().get_run(first.parent_run_id).data.params["align.detector"] == "dlib"


@pytest.mark.slow
def test_four_processes_at_once_share_one_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a store that does not exist yet: tables, experiment and parent are made once."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    processes = [start_stage(f"stage{number}", 0.0) for number in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    client = open_client()
    (parent,) = parents(client)
    children = [run for run in all_runs(client) if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert sorted(run.data.tags["stage"] for run in children) == [f"stage{number}" for number in range(4)]
    assert {run.info.status for run in children} == {"FINISHED"}
    assert client.get_run(parent.info.run_id).info.status == "FINISHED"


def test_killed_run_is_marked_by_the_next_one_but_a_living_one_is_not(workplace: Path) -> None:
    process = start_stage("train@a", 600.0)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    client = open_client()
    with stage_run("train@a", {}, {}):  # the other process lives: its run stays as it is
        (running,) = [run for run in all_runs(client) if run.data.tags.get("pid") == str(process.pid)]
        assert running.info.status == "RUNNING"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    with stage_run("train@b", {}, {}):  # another stage does not judge it
        assert client.get_run(running.info.run_id).info.status == "RUNNING"
    with stage_run("train@a", {}, {}):
        assert client.get_run(running.info.run_id).info.status == "KILLED"


def test_metric_is_seen_while_the_stage_runs(workplace: Path) -> None:
    with stage_run("train@a", {}, {}) as run:
        run.log_metrics({"loss": 3.0}, step=1)
        assert open_client().get_run(run.run_id).data.metrics["loss"] == 3.0


def test_many_params_and_metrics_go_in_batches(workplace: Path) -> None:
    """More than MLflow takes at once: 100 params, 1000 metrics."""
    with stage_run("align", {f"p{number}": number for number in range(230)}, {}) as run:
        run.log_metrics({f"m{number}": float(number) for number in range(1100)})
    found = open_client().get_run(run.run_id)
    assert len(found.data.params) == 230
    assert found.data.metrics["m1099"] == 1099.0


def test_opening_a_second_run_is_cheap(workplace: Path) -> None:
    with stage_run("align", {}, {}):
        pass
    started = time.monotonic()
    with stage_run("align", {}, {}):
        pass
    # MLflow is imported by now; what is left took 0.3 s here. Ten times that allows for a busy machine.
    assert time.monotonic() - started < 3.0


def test_store_that_cannot_be_opened_is_a_clear_error(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nosuch://user:secret@host/db")
    with pytest.raises(RegistryError, match="cannot be opened") as caught, stage_run("align", {}, {}):
        pytest.fail("the stage must not start")
    assert "secret" not in str(caught.value).split("where:")[1]


def test_uris_and_their_artifacts(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking_uri() == f"sqlite:///{workplace}/mlflow.db"
    monkeypatch.setenv("DVC_ROOT", "/srv/x")  # set by DVC, also in the copy in which its queue runs an experiment
    assert tracking_uri() == "sqlite:////srv/x/mlflow.db"
    assert artifact_folder("sqlite:////srv/x/mlflow.db") == "/srv/x/mlartifacts"
    assert artifact_folder("http://host:5000") is None
    assert shown_uri("http://user:secret@host:5000/x") == "http://host:5000/x"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert tracking_uri() == "http://host:5000"


def test_flatten() -> None:
    assert flatten({"a": {"b": {"c": None}}, "d": ["x"], "e": 1.5}) == {"a.b.c": "None", "d": '["x"]', "e": "1.5"}


def test_telemetry_is_off_before_mlflow_is_imported(tmp_path: Path) -> None:
    code = (
        "from pipeline_lib.tracking.store import import_mlflow; import sys, os; assert 'mlflow' not in sys.modules;"
        "import_mlflow(); from mlflow.telemetry.client import get_telemetry_client; assert get_telemetry_client() is None"
    )
    environment = {
        key: value for key, value in os.environ.items() if key not in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")
    }
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment)
