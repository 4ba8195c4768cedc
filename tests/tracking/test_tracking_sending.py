"""Sending: in order, once, whatever is killed, deleted or refused; and the same whether a run was sent live or later."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from in_mlflow import STAGE, all_runs, parents, sent, stage_runs, start_stage, waiting

from pipeline_lib.tracking.replay import Replay
from pipeline_lib.tracking.send import send_all, send_beside_stages
from pipeline_lib.tracking.spool import Record
from pipeline_lib.tracking.stage_run import stage_run
from pipeline_lib.tracking.store import RegistryError, open_client, tracking_uri

REQUESTS = (
    "create_run",
    "log_batch",
    "log_inputs",
    "log_artifact",
    "set_terminated",
    "update_run",
)  # that change something
KILLED_SENDER = """
import os, mlflow
mlflow.MlflowClient.log_artifact = lambda *args: os.kill(os.getpid(), 9)
from pipeline_lib.tracking.send import send_all
send_all()
"""


class Killed(BaseException):
    """No error that anything catches."""


def kill_at(patch: pytest.MonkeyPatch, number: int) -> None:
    """Let senders of this process die before (odd numbers) or after (even ones) a request to the store."""
    import mlflow

    left = iter(range(number - 1, -1, -1))

    def counted(request: Any) -> Any:
        def ask(*args: Any, **kwargs: Any) -> Any:
            if next(left) == 0:
                raise Killed
            answer = request(*args, **kwargs)
            if next(left) == 0:
                raise Killed
            return answer

        return ask

    for name in REQUESTS:
        patch.setattr(mlflow.MlflowClient, name, counted(getattr(mlflow.MlflowClient, name)))


def record_a_run(stage: str, **params: Any) -> Any:
    Path("table").write_text("x")
    with stage_run(stage, params, {"table": Path("table")}) as run:
        run.log_metrics({"loss": 2.0, "nan": float("nan")}, 1)
        run.log_artifact(Path("table"))
        run.log_metrics({"loss": 1.0}, 2)
        run.set_tags({"k": stage})
    return run


def content(client: Any, run: Any) -> dict[str, Any]:
    """All that MLflow knows of a run, but for what differs from run to run."""
    differing = {"record", "pid", "process_started", "mlflow.parentRunId", "mlflow.artifact.logDirectory", "live"}
    history = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    return {
        "status": run.info.status,
        "name": run.info.run_name,
        "tags": {key: value for key, value in run.data.tags.items() if key not in differing},
        "params": run.data.params,
        "metrics": {name: [(point.step, repr(point.value)) for point in points] for name, points in history.items()},
        "datasets": [(item.dataset.to_dictionary(), sorted(map(str, item.tags))) for item in run.inputs.dataset_inputs],
        "artifacts": [(item.path, item.file_size) for item in client.list_artifacts(run.info.run_id)],
    }


def test_runs_go_out_in_the_order_in_which_they_began_with_their_own_times(workplace: Path) -> None:
    before_ms = time.time() * 1000
    with stage_run("a", {}, {}):
        with stage_run("b", {}, {}):  # ends before a does
            pass
        with stage_run("c", {}, {}):
            time.sleep(0.01)
        time.sleep(0.01)
    after_ms = time.time() * 1000
    time.sleep(1.0)
    assert send_all() == 3
    client = open_client()
    runs = stage_runs(client)
    assert [run.data.tags["stage"] for run in runs] == ["a", "b", "c"]
    made = sorted(runs, key=lambda run: client.get_metric_history(run.info.run_id, "stage/wall_time_s")[0].timestamp)
    assert [run.data.tags["stage"] for run in made] == ["b", "c", "a"]
    assert all(before_ms - 1 <= run.info.start_time <= run.info.end_time <= after_ms for run in runs)
    (parent,) = parents(client)
    assert (parent.info.start_time, parent.info.end_time) == (runs[0].info.start_time, runs[0].info.end_time)


def test_killed_sender_leaves_nothing_twice_and_loses_nothing(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before and after each of its requests in turn; MLflow holds in the end what one sender leaves."""
    expected = content(*sent(record_a_run("align", a=1))[:2])
    record_a_run("align", a=1)
    for number in range(1, 100):
        try:
            with monkeypatch.context() as patch:
                kill_at(patch, number)
                send_all()
            break
        except Killed:
            assert len(waiting()) == 1
    assert number > 12  # six requests at least
    client = open_client()
    first, second = stage_runs(client)
    assert [run.info.status for run in all_runs(client)] == ["FINISHED"] * 3
    again = content(client, second)
    for found in (expected, again):
        found["metrics"] = {name: found["metrics"][name] for name in ("loss", "nan")}
    assert again == expected
    assert len(parents(client)) == 1
    assert first.info.run_id != second.info.run_id
    assert not waiting()
    assert not [path for path in (workplace / ".tracking").iterdir() if path.is_dir()]


def test_sender_killed_by_the_system(workplace: Path) -> None:
    """Its locks go with it."""
    run = record_a_run("align")
    done = subprocess.run([sys.executable, "-c", KILLED_SENDER], env=os.environ, timeout=120)
    assert done.returncode == -9
    assert len(waiting()) == 1
    client, found, parent = sent(run)
    assert (found.info.status, parent.info.status) == ("FINISHED", "FINISHED")
    assert [item.path for item in client.list_artifacts(found.info.run_id)] == ["table"]
    assert len(all_runs(client)) == 2


def test_record_is_sent_again_as_a_whole_without_a_trace(workplace: Path, tmp_path: Path) -> None:
    run = record_a_run("align", a=1)
    text, uri = run.record.path.read_bytes(), tracking_uri()
    client, found, _ = sent(run)
    before = content(client, found)
    run.record.path.write_bytes(text)
    assert send_all() == 1
    (after,) = stage_runs(client)
    assert content(client, after) == before
    assert Record(run.record.path).name == after.data.tags["record"]
    assert uri == tracking_uri()


def test_run_sent_live_is_the_run_sent_later(workplace: Path) -> None:
    """A record is sent line by line as it grows; then another one at once; MLflow holds the same."""
    client = open_client()
    Path("table").write_text("x")
    with stage_run("train@a", {"p": 1}, {"table": Path("table")}, live=True) as live:
        replay = Replay(client, tracking_uri(), live.record)
        for step in range(3):
            live.log_metrics({"loss": float(step)}, step)
            replay.catch_up(is_running=True)
            assert client.get_run(replay.run_id).data.metrics["loss"] == step  # seen while the stage runs
            assert client.get_run(replay.run_id).info.status == "RUNNING"
        live.log_artifact(Path("table"))
        live.set_tags({"k": "v"})
    with stage_run("train@a", {"p": 1}, {"table": Path("table")}) as later:
        for step in range(3):
            later.log_metrics({"loss": float(step)}, step)
        later.log_artifact(Path("table"))
        later.set_tags({"k": "v"})
    one, other = content(*sent(live)[:2]), content(*sent(later)[:2])
    for found in (one, other):
        assert "stage/wall_time_s" in found["metrics"]
        found["metrics"] = found["metrics"]["loss"]
    assert one == other


def test_two_stages_spool_at_once(workplace: Path) -> None:
    processes = [start_stage(stage, 1.0) for stage in ("a", "b")]
    for process in processes:
        assert process.wait(timeout=60) == 0
    assert len(waiting()) == 2
    assert send_all() == 2
    assert {run.info.status for run in all_runs(open_client())} == {"FINISHED"}


def test_deleted_experiment_is_restored(workplace: Path, caplog: pytest.LogCaptureFixture) -> None:
    client, first, _ = sent(record_a_run("a"))
    client.delete_experiment(first.info.experiment_id)
    client, second, _ = sent(record_a_run("b"))
    assert second.info.experiment_id == first.info.experiment_id
    assert client.get_experiment(first.info.experiment_id).lifecycle_stage == "active"
    assert "was deleted; it is restored" in caplog.text


def test_deleted_rebuild_is_made_anew(workplace: Path) -> None:
    client, _, parent = sent(record_a_run("a"))
    client.delete_run(parent.info.run_id)
    _, _, other = sent(record_a_run("b"))
    assert other.info.run_id != parent.info.run_id


@pytest.mark.parametrize("deleted", ["run", "rebuild", "experiment"])
def test_what_is_deleted_while_a_stage_goes_on_is_no_error(workplace: Path, deleted: str) -> None:
    """In the UI, say. The stage's run is whole in the end; a deleted rebuild stays deleted, the next stage has another."""
    with stage_run("train@a", {"a": 1}, {}) as run:
        run.log_metrics({"loss": 2.0}, 1)
        client, run_id = run.client, run.run_id
        found = client.get_run(run_id)
        if deleted == "experiment":
            client.delete_experiment(found.info.experiment_id)
        else:
            client.delete_run(run_id if deleted == "run" else found.data.tags["mlflow.parentRunId"])
        run.log_metrics({"loss": 1.0}, 2)
        assert run.client.get_run(run.run_id).data.metrics["loss"] == 1.0
    assert not waiting()
    with stage_run("train@b", {}, {}):
        pass
    client, found, parent = sent(run)
    assert (found.info.status, parent.info.lifecycle_stage == "deleted") == ("FINISHED", deleted == "rebuild")
    assert found.data.params == {"a": "1"}
    assert [point.value for point in client.get_metric_history(found.info.run_id, "loss")] == [2.0, 1.0]
    assert {item.info.status for item in all_runs(client)} == {"FINISHED"}
    assert len(parents(client)) == 1


def test_record_that_mlflow_refuses_is_set_aside(workplace: Path, caplog: pytest.LogCaptureFixture) -> None:
    with stage_run("a", {}, {}) as refused:
        refused.log_metrics({"a name with ?": 1.0})
        refused.log_artifact(Path(__file__))
    broken = workplace / ".tracking" / "000001-broken.jsonl"
    broken.write_text("no JSON\n")
    older = workplace / ".tracking" / "000002-older.jsonl"  # by another version of this code, say
    older.write_text(json.dumps({"start": {"tags": {}}}) + "\n")
    client, _, parent = sent(record_a_run("b"))
    assert [run.info.status for run in stage_runs(client)] == ["FAILED", "FINISHED"]
    assert parent.info.status == "FAILED"
    aside = workplace / ".tracking" / "refused"
    assert {path.name for path in aside.iterdir()} == {
        broken.name,
        older.name,
        refused.record.path.name,
        refused.record.files.name,
    }
    assert caplog.text.count("MLflow does not take a run") == 3
    assert not waiting()


def test_sender_beside_stages_waits_for_them(workplace: Path) -> None:
    """It sends a live run while that goes on, and others when they are over; then it ends, and leaves nothing."""
    live, other = start_stage("train@a", 6.0, live=True), start_stage("verify", 3.0)
    assert live.stdout is not None
    assert live.stdout.readline() == "open\n"
    send_beside_stages(tracking_uri(), after_s=0.5)
    assert (live.wait(timeout=5), other.wait(timeout=5)) == (0, 0)
    assert not waiting()
    assert {run.info.status for run in all_runs(open_client())} == {"FINISHED"}


def test_stage_that_fails_is_sent_without_anybodys_doing(workplace: Path) -> None:
    """With those that ended before it; the stage itself does not wait for MLflow."""
    record_a_run("ingest")
    code = STAGE.replace("time.sleep(float(sys.argv[2]))", "raise ValueError('broken')")
    done = subprocess.run([sys.executable, "-c", code, "align", "0", "later"], env=os.environ, capture_output=True)
    assert done.returncode == 1
    until = time.monotonic() + 90.0  # MLflow's import, on a busy machine
    while waiting() and time.monotonic() < until:
        time.sleep(0.2)
    runs = stage_runs(open_client())
    assert [(run.data.tags["stage"], run.info.status) for run in runs] == [("ingest", "FINISHED"), ("align", "FAILED")]


def test_sender_leaves_the_work_to_another(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline_lib.tracking import send
    from pipeline_lib.tracking.store import file_lock

    record_a_run("a")
    monkeypatch.setattr(send, "LEAVE_IT_AFTER_S", 0.2)
    with file_lock(workplace / ".tracking" / send.LOCK_FILE, 0.0):
        send_beside_stages(tracking_uri(), after_s=0.0)
    assert len(waiting()) == 1


def test_store_that_refuses_now_and_takes_later(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    run = record_a_run("a")
    with monkeypatch.context() as patch:
        failure = mlflow.MlflowException("database is locked")
        patch.setattr(mlflow.MlflowClient, "log_inputs", lambda *args: (_ for _ in ()).throw(failure))
        with pytest.raises(RegistryError, match=r"stays in the spool(.|\n)*database is locked"):
            send_all()
    assert sent(run)[1].info.status == "FINISHED"
