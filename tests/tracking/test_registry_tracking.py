"""Runs: lineage, states, the shared parent, processes at once."""

import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from in_mlflow import all_runs, parents, sent, stage_runs, start_stage, waiting

from pipeline_lib.core.errors import DataError
from pipeline_lib.tracking import spool
from pipeline_lib.tracking.origin import MAX_VALUE_CHARACTERS
from pipeline_lib.tracking.send import send_all
from pipeline_lib.tracking.stage_run import flatten, stage_run
from pipeline_lib.tracking.store import RegistryError, artifact_folder, open_client, shown_uri, tracking_uri


def test_run_records_what_it_was_made_from(workplace: Path) -> None:
    (workplace / "table").write_text("x")
    params = {"align": {"detector": "dlib", "nested": {"values": [1, 2]}}, "long": "y" * 1000}
    with stage_run("align", params, {"table": Path("table")}) as run:
        run.log_metrics({"loss": 2.0}, step=10)
        run.log_metrics({"loss": 1.0}, step=20)
        run.set_tags({"note": "n"})
        (workplace / "curve.txt").write_text("c")
        run.log_artifact(Path("curve.txt"), "plots")
        (workplace / "curve.txt").write_text("a rerun's")
    client, found, parent = sent(run)
    tags = found.data.tags
    assert found.info.status == "FINISHED"
    assert tags["git_commit"] == "unknown"
    assert tags["rebuild"] == parent.data.tags["rebuild"]
    assert {"dvc_lock_sha256", "hardware.cpu", "hardware.gpu", "version.torch", "version.python", "note"} <= tags.keys()
    assert not {"stage", "pid", "host"} & parent.data.tags.keys()
    assert found.data.params["align.detector"] == "dlib"
    assert found.data.params["align.nested.values"] == "[1, 2]"
    assert found.data.params["long"] == "y" * MAX_VALUE_CHARACTERS + "... (1000 characters)"
    assert {"stage/wall_time_s", "stage/peak_memory_bytes"} <= found.data.metrics.keys()
    assert found.data.metrics["stage/peak_memory_bytes"] > 2**23  # a bare Python needs more than 8 MiB
    assert [(m.step, m.value) for m in client.get_metric_history(found.info.run_id, "loss")] == [(10, 2.0), (20, 1.0)]
    (dataset,) = found.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("table", "9dd4e461268c8034f5c8564e155c67a6")  # md5 of "x"
    assert {tag.key: tag.value for tag in dataset.tags} == {"mlflow.data.context": "align", "digest_from": "content"}
    assert [item.path for item in client.list_artifacts(found.info.run_id, "plots")] == ["plots/curve.txt"]
    (kept,) = (workplace / "mlartifacts").rglob("curve.txt")
    assert kept.read_text() == "c"


def test_stage_that_raises_is_failed_and_a_rerun_mends_the_rebuild(workplace: Path) -> None:
    with pytest.raises(DataError, match="broken"), stage_run("align", {}, {}) as failed:
        raise DataError("broken")
    _, found, parent = sent(failed)
    assert found.info.status == parent.info.status == "FAILED"
    assert found.data.tags["error"] == "DataError: broken"
    with stage_run("align", {}, {}) as again:
        with stage_run("embed", {}, {}):
            pass
        send_all()
        assert open_client().get_run(parent.info.run_id).info.status == "RUNNING"
    _, mended, mended_parent = sent(again)
    assert mended.info.run_id != found.info.run_id
    assert mended_parent.info.run_id == parent.info.run_id
    assert mended_parent.info.status == "FINISHED"


def test_interrupted_stage_is_killed(workplace: Path) -> None:
    with pytest.raises(KeyboardInterrupt), stage_run("align", {}, {}) as run:
        raise KeyboardInterrupt
    assert sent(run)[1].info.status == "KILLED"


def test_experiment_of_dvc_is_named(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "puffy-ox")
    with stage_run("align", {}, {}) as run:
        pass
    _, *both = sent(run)
    assert {one.data.tags["dvc_experiment"] for one in both} == {"puffy-ox"}


def test_other_params_are_another_rebuild(workplace: Path, repository: Path) -> None:
    text = (repository / "params.yaml").read_text()
    Path("params.yaml").write_text(text)
    with stage_run("align", {}, {}) as first:
        pass
    Path("params.yaml").write_text(text + "\n# another comment\n")
    with stage_run("align", {}, {}) as second:
        pass
    one, other = sent(first)[2], sent(second)[2]
    assert one.info.run_id != other.info.run_id
    assert one.data.params["align.detector"] == "dlib"


@pytest.mark.slow
def test_four_processes_at_once_share_one_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a store that does not exist yet, each sending what it finds: tables, experiment and parent are made once."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    processes = [start_stage(f"stage{number}", 0.0) for number in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    senders = [subprocess.Popen([sys.executable, "-m", "pipeline_lib.tracking.send"]) for _ in range(3)]
    assert [sender.wait(timeout=120) for sender in senders] == [0, 0, 0]
    client = open_client()
    (parent,) = parents(client)
    children = [run for run in all_runs(client) if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert sorted(run.data.tags["stage"] for run in children) == [f"stage{number}" for number in range(4)]
    assert {run.info.status for run in children} == {"FINISHED"}
    assert parent.info.status == "FINISHED"
    assert not waiting()


def test_killed_run_is_marked_but_a_living_one_is_not(workplace: Path) -> None:
    process = start_stage("train@a", 600.0)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    with stage_run("train@a", {}, {}):  # the other process lives: its run stays as it is
        pass
    send_all()
    assert len(waiting()) == 1
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert send_all() == 1
    (killed,) = [run for run in stage_runs(open_client()) if run.data.tags["pid"] == str(process.pid)]
    assert killed.info.status == "KILLED"
    assert killed.data.metrics["x"] == 1.0
    assert killed.info.end_time >= killed.info.start_time
    assert not waiting()


def test_run_whose_record_was_lost_is_marked_by_the_next_one(workplace: Path) -> None:
    """RUNNING in MLflow, and no process of it any more: the spool was deleted, or lay on a machine that is gone."""
    process = start_stage("train@a", 600.0, live=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    send_all()
    client = open_client()
    (lost,) = stage_runs(client)
    assert lost.info.status == "RUNNING"
    process.kill()
    process.communicate(timeout=30)
    for path in waiting():
        path.unlink()
    with stage_run("train@b", {}, {}):  # another stage does not judge it
        pass
    send_all()
    assert client.get_run(lost.info.run_id).info.status == "RUNNING"
    with stage_run("train@a", {}, {}):
        pass
    send_all()
    assert client.get_run(lost.info.run_id).info.status == "KILLED"


@pytest.mark.parametrize(("silent_s", "status"), [(0.0, "RUNNING"), (300.0, "RUNNING"), (700.0, "KILLED")])
def test_run_of_another_host_is_killed_by_its_silence_alone(workplace: Path, silent_s: float, status: str) -> None:
    """Its processes cannot be asked for; a living run logs the machine's figures once a minute."""
    hour_ago_ms, sign_ms = (int((time.time() - ago_s) * 1000) for ago_s in (3600.0, silent_s))
    with stage_run("train@a", {}, {}) as run:
        pass
    client, found, parent = sent(run)
    tags = {**found.data.tags, "host": "another", "record": "another", "mlflow.parentRunId": parent.info.run_id}
    other = client.create_run(found.info.experiment_id, hour_ago_ms, tags)
    client.log_metric(other.info.run_id, "loss", 1.0, hour_ago_ms)
    client.log_metric(other.info.run_id, "system/cpu_utilization_percentage", 1.0, sign_ms)
    with stage_run("train@a", {}, {}):
        pass
    send_all()
    assert client.get_run(other.info.run_id).info.status == status


@pytest.mark.parametrize(("silent_s", "num_sent"), [(300.0, 0), (700.0, 1)])
def test_record_of_another_host_waits_for_it(workplace: Path, silent_s: float, num_sent: int) -> None:
    """In a spool that machines share."""
    process = start_stage("train@a", 600.0)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    process.kill()
    process.communicate(timeout=30)
    (path,) = waiting()
    path.write_text(path.read_text().replace(f'"host": "{platform.node()}"', '"host": "another"'))
    os.utime(path, (time.time() - silent_s,) * 2)
    assert send_all() == num_sent
    assert len(waiting()) == 1 - num_sent


def test_living_run_touches_its_record(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the machine's figures cannot be read: other hosts judge it by that."""
    monkeypatch.setattr(spool, "BEAT_S", 0.05)
    monkeypatch.setattr("psutil.net_io_counters", lambda: None)
    with stage_run("align", {}, {}) as run:
        os.utime(run.record.path, (0.0, 0.0))
        time.sleep(0.5)
        assert time.time() - run.record.path.stat().st_mtime < 10.0
    os.utime(run.record.path, (0.0, 0.0))
    time.sleep(0.2)
    assert run.record.path.stat().st_mtime == 0.0


def test_many_params_metrics_and_tags_go_in_batches(workplace: Path) -> None:
    """More than MLflow takes at once: 100 params, 1000 metrics, 100 tags."""
    with stage_run("align", {f"p{number}": number for number in range(230)}, {}) as run:
        run.log_metrics({f"m{number}": float(number) for number in range(1100)})
        run.set_tags({f"t{number}": "v" for number in range(130)})
    _, found, _ = sent(run)
    assert len(found.data.params) == 230
    assert found.data.metrics["m1099"] == 1099.0
    assert found.data.tags["t129"] == "v"


def test_client_knows_the_spool_and_the_run_as_far_as_it_goes(workplace: Path) -> None:
    """What the register stage asks."""
    with stage_run("verify", {}, {}) as earlier:
        earlier.log_metrics({"auc": 0.9})
    with stage_run("register", {"k": "v"}, {}) as run:
        run.log_metrics({"x": 1.0})
        assert run.client.get_run(run.run_id).data.metrics["x"] == 1.0
        assert [item.data.tags["stage"] for item in stage_runs(run.client)] == ["verify", "register"]
        run.log_metrics({"x": 2.0})
        (ours,) = [item for item in stage_runs(run.client) if item.info.run_id == run.run_id]
        assert (ours.data.metrics["x"], ours.info.status) == (2.0, "RUNNING")
        run_id, client = run.run_id, run.client
        run.set_tags({"decision": "yes"})
    found = client.get_run(run_id)
    assert (found.info.status, found.data.tags["decision"]) == ("FINISHED", "yes")
    assert not waiting()


def test_store_that_cannot_be_opened_is_a_clear_error(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nosuch://user:secret@host/db")
    with stage_run("align", {}, {}):
        pass
    with pytest.raises(RegistryError, match="cannot be opened") as caught:
        send_all()
    assert "secret" not in str(caught.value)


def test_uris_and_their_artifacts(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking_uri() == f"sqlite:///{workplace}/mlflow.db"
    monkeypatch.setenv("DVC_ROOT", "/srv/x")  # set by DVC, also in the copy in which its queue runs an experiment
    assert tracking_uri() == "sqlite:////srv/x/mlflow.db"
    assert artifact_folder("sqlite:////srv/x/mlflow.db") == Path("/srv/x/mlartifacts")
    assert artifact_folder("http://host:5000") is None
    assert shown_uri("http://user:secret@host:5000/x") == "http://host:5000/x"
    Path("machine.yaml").write_text("tracking: {uri: 'http://machine:5000'}\n")
    assert tracking_uri() == "http://machine:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    assert tracking_uri() == "http://host:5000"


def test_experiment_is_machine_yamls(workplace: Path) -> None:
    Path("machine.yaml").write_text("tracking: {experiment: elsewhere}\n")
    with stage_run("align", {}, {}) as run:
        pass
    client, found, _ = sent(run)
    assert client.get_experiment(found.info.experiment_id).name == "elsewhere"


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


def test_a_rebuild_s_run_has_headline_figures_and_everything_a_description(workplace: Path) -> None:
    with stage_run("verify", {}, {}) as run:
        run.log_headline({"val/auc": 0.75}, {"val": "cosine:net"})
    with stage_run("register", {}, {}) as run:
        run.log_headline({"fmr": 0.5})
    client, found, parent = sent(run)
    experiment = client.get_experiment(found.info.experiment_id)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert "headline/" in experiment.tags["mlflow.note.content"]
    assert parent.data.metrics == {"headline/val/auc": 0.75, "headline/fmr": 0.5}
    assert parent.data.tags["headline.val"] == "cosine:net"
    assert parent.data.tags["mlflow.note.content"].startswith("Rebuild at commit")
