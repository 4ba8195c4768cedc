"""The rebuild flow on a real Prefect server (sqlite, loopback) and a real DVC pipeline."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tiny_pipeline import LONG_AND_SHORT_YAML, make_tiny_pipeline

from flows.dvc_graph import StageFailed, read_pipeline, run_stage
from flows.processes import Processes, stop
from pipeline_lib.core.errors import PipelineError

BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Prefect server of its own; gives the environment that reaches it."""
    home, port = tmp_path_factory.mktemp("prefect"), free_port()
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(BIN), os.environ["PATH"]]),
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    with (home / "server.log").open("w") as log:
        command = [BIN / "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_for(lambda: httpx.get(environment["PREFECT_API_URL"] + "/health").status_code == 200, 120)
        yield environment
    finally:
        stop(process, grace_s=20.0)


def wait_for(condition, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if condition():
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s} s")
        time.sleep(0.5)


def rebuild(server: dict[str, str], repository: Path, folder: Path, retries: int = 0) -> subprocess.CompletedProcess:
    code = f"from flows.rebuild import rebuild; print('OUTCOMES', rebuild({str(folder)!r}, retries={retries}, retry_delay_s=0))"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=repository, env=server, capture_output=True, text=True, timeout=300
    )


def api(server: dict[str, str], path: str, **body) -> list[dict]:
    response = httpx.post(f"{server['PREFECT_API_URL']}/{path}/filter", json=body)
    response.raise_for_status()
    return response.json()


def test_graph_lists_upstream_before_downstream(tmp_path: Path) -> None:
    graph = read_pipeline(make_tiny_pipeline(tmp_path)).graph
    assert graph == {"first": [], "left": ["first"], "right": ["first"], "last": ["left", "right"]}
    order = list(graph)
    assert all(order.index(up) < order.index(stage) for stage, ups in graph.items() for up in ups)


def test_broken_dvc_yaml_is_named(tmp_path: Path) -> None:
    make_tiny_pipeline(tmp_path)
    (tmp_path / "dvc.yaml").write_text("stages: [")
    with pytest.raises(PipelineError, match=r"dvc\.yaml"):
        read_pipeline(tmp_path)


def test_stage_runs_once_and_failure_shows_its_output(tmp_path: Path) -> None:
    make_tiny_pipeline(tmp_path)
    lines: list[str] = []
    assert run_stage(tmp_path, "first", lines.append, Processes(20.0)) == "ran"
    assert run_stage(tmp_path, "first", lines.append, Processes(20.0)) == "cached"
    assert any("echo hello" in line for line in lines)
    (tmp_path / "dvc.yaml").write_text("stages:\n  bad:\n    cmd: echo the reason && exit 3\n    outs: [bad.txt]\n")
    with pytest.raises(StageFailed, match="the reason"):
        run_stage(tmp_path, "bad", lines.append, Processes(20.0))


def test_what_is_stale_is_what_changed_and_all_below_it(tmp_path: Path) -> None:
    make_tiny_pipeline(tmp_path)
    graph = read_pipeline(tmp_path).graph
    assert read_pipeline(tmp_path).stale == set(graph)
    for stage in graph:
        run_stage(tmp_path, stage, lambda line: None, Processes(20.0))
    assert read_pipeline(tmp_path).stale == set()
    (tmp_path / "left.txt").unlink()  # an output that is gone
    assert read_pipeline(tmp_path).stale == {"left", "last"}


@pytest.mark.slow
def test_flow_runs_then_is_cached_and_publishes(server: dict[str, str], repository: Path, tmp_path: Path) -> None:
    folder = make_tiny_pipeline(tmp_path, pause_s=4)
    first = rebuild(server, repository, folder)
    assert "OUTCOMES" in first.stdout, first.stderr
    assert set(eval(first.stdout.split("OUTCOMES")[1]).values()) == {"ran"}
    runs = {run["name"]: run for run in api(server, "task_runs")}
    left, right = runs["left"], runs["right"]
    overlap = min(left["end_time"], right["end_time"]) > max(left["start_time"], right["start_time"])
    assert overlap, "independent stages ran one after the other"
    assert runs["last"]["start_time"] > max(left["end_time"], right["end_time"])
    keys = {artifact["key"]: artifact for artifact in api(server, "artifacts")}
    assert "lfw / accuracy" in keys["metrics"]["data"]
    assert "4 of 4 stages ran" in keys["rebuild"]["data"]
    (name,) = (run["name"] for run in api(server, "flow_runs"))
    assert re.fullmatch(r"by hand \d{4}-\d\d-\d\d \d\d:\d\d UTC, commit unknown", name)
    (folder / "numbers.json").write_text('{"lfw": {"accuracy": 0.75}}')
    second = rebuild(server, repository, folder)
    assert eval(second.stdout.split("OUTCOMES")[1]) == {
        "first": "cached",
        "left": "cached",
        "right": "cached",
        "last": "ran",
    }
    assert [run["state_name"] for run in api(server, "task_runs") if run["name"] == "left"].count("Cached") == 1
    logs = [entry["message"] for entry in api(server, "logs", limit=200)]
    assert any("cat first.txt > left.txt" in message for message in logs), "a stage's output is not in the UI"


@pytest.mark.slow
def test_stages_that_wait_for_others_keep_no_slot(server: dict[str, str], repository: Path, tmp_path: Path) -> None:
    """Two at once: `second` and `third` are submitted before `short`, but only `slow` runs when it could."""
    folder = make_tiny_pipeline(tmp_path, pause_s=6, dvc_yaml=LONG_AND_SHORT_YAML)
    order = list(read_pipeline(folder).graph)
    assert order.index("second") < order.index("short"), "else this test tests nothing"
    environment = {name: value for name, value in server.items() if name != "OMP_NUM_THREADS"}
    result = rebuild(environment, repository, folder)
    assert "OUTCOMES" in result.stdout, result.stderr
    assert int((folder / "short.txt").read_text()) == max(1, len(os.sched_getaffinity(0)) // 2)
    runs = {run["name"]: run for run in api(server, "task_runs")}
    assert runs["short"]["end_time"] < runs["slow"]["end_time"], "a ready stage waited for one that was not"


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_flow_stops_its_stages(
    server: dict[str, str], repository: Path, tmp_path: Path, sent: signal.Signals
) -> None:
    """Ctrl-C, or a cancelled run: `left` is given time to save its work, `right` and `last` never start, nothing is retried."""
    folder = make_tiny_pipeline(tmp_path)
    (folder / "work.sh").write_text(
        "trap 'sleep 2; echo yes > saved.txt; exit 1' TERM\necho try >> tries.log\nfor second in $(seq 60); do sleep 1; done\n"
    )
    text = (folder / "dvc.yaml").read_text().replace("cat first.txt > left.txt", "sh work.sh")
    (folder / "dvc.yaml").write_text(
        text.replace("deps: [first.txt]\n    outs: [right", "deps: [left.txt]\n    outs: [right")
    )
    # A shell that starts the tests in the background has SIGINT ignored, by its children too.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from flows.rebuild import rebuild; "
    )
    code += f"rebuild({str(folder)!r}, retries=3, retry_delay_s=0)"
    with (tmp_path / "flow.log").open("w") as log:
        flow = subprocess.Popen([sys.executable, "-c", code], cwd=repository, env=server, stdout=log, stderr=log)
    try:
        wait_for((folder / "tries.log").exists, 60)
        flow.send_signal(sent)
        assert flow.wait(20) != 0
    finally:
        flow.kill()
    assert (folder / "saved.txt").exists(), "the flow ended before its stage did"
    assert (folder / "tries.log").read_text().count("try") == 1
    assert not (folder / "right.txt").exists()


@pytest.mark.slow
def test_failed_stage_fails_the_flow_after_its_retries(
    server: dict[str, str], repository: Path, tmp_path: Path
) -> None:
    folder = make_tiny_pipeline(tmp_path)
    text = (folder / "dvc.yaml").read_text().replace("cat first.txt > left.txt", "echo try >> tries.log && exit 1")
    (folder / "dvc.yaml").write_text(text)
    result = rebuild(server, repository, folder, retries=2)
    assert result.returncode != 0
    assert "StageFailed" in result.stderr
    assert (folder / "tries.log").read_text().count("try") == 3
    assert (folder / "right.txt").exists(), "a stage that does not depend on the failed one must run"
    assert not (folder / "metrics.json").exists()


@pytest.mark.slow
def test_scheduled_run_completes(server: dict[str, str], repository: Path, tmp_path: Path) -> None:
    """The real prefect.yaml, deployed with its schedule; the cron is set to each minute so the test need not wait a night."""
    folder = make_tiny_pipeline(tmp_path / "tiny")
    environment = {**server, "FACE_VERIFIER_ROOT": str(repository)}
    declared = (repository / "prefect.yaml").read_text()
    assert '"0 2 * * *"' in declared
    scheduled = declared.replace('"0 2 * * *"', '"* * * * *"').replace(
        "    work_pool: &local", f"    parameters: {{root: {folder}}}\n    work_pool: &local"
    )
    deployments = tmp_path / "prefect.yaml"
    deployments.write_text(scheduled)

    def prefect(*arguments: str) -> None:
        subprocess.run(
            [BIN / "prefect", "--no-prompt", *arguments], cwd=repository, env=environment, check=True, timeout=120
        )

    prefect("work-pool", "create", "face-verifier-local", "--type", "process", "--overwrite")
    prefect("deploy", "--prefect-file", str(deployments), "--name", "nightly")
    with (tmp_path / "worker.log").open("w") as log:
        command = [BIN / "prefect", "worker", "start", "--pool", "face-verifier-local"]
        worker = subprocess.Popen(
            command, cwd=repository, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:

        def completed() -> bool:
            runs = api(
                server,
                "flow_runs",
                flow_runs={"deployment_id": {"is_null_": False}, "state": {"name": {"any_": ["Completed"]}}},
            )
            return any(run["auto_scheduled"] and run["name"].startswith("nightly 2") for run in runs)

        wait_for(completed, 240)
    finally:
        stop(worker, grace_s=20.0)  # a worker whose next scheduled run has just begun may not end by itself
    assert (folder / "metrics.json").exists()
