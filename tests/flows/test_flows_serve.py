"""`make ui`: everything answers on the loopback address, and nothing is left after Ctrl-C, not even a running rebuild."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import httpx
import psutil
import pytest
from docs_blocks import commands
from tiny_pipeline import make_tiny_pipeline

from flows import serve
from flows.processes import stop

PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def heed_interrupts() -> None:
    """What a shell's background jobs ignore, and hand down."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ui_answers_and_stops(repository: Path, tmp_path: Path, sent: signal.Signals) -> None:
    environment = {
        **os.environ,
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "PYTHONUNBUFFERED": "1",
    }
    folder = make_tiny_pipeline(tmp_path / "tiny")
    work = "trap 'sleep 1; echo yes > saved.txt; exit 1' TERM\necho $$ > pid.txt\nfor second in $(seq 120); do sleep 1; done\n"
    (folder / "work.sh").write_text(work)
    text = (folder / "dvc.yaml").read_text()
    (folder / "dvc.yaml").write_text(text.replace("cat first.txt > left.txt", "sh work.sh"))
    log = tmp_path / "ui.log"
    with log.open("w") as handle:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.serve"],
            cwd=repository,
            env=environment,
            stdout=handle,
            stderr=subprocess.STDOUT,
            preexec_fn=heed_interrupts,
        )
    try:
        deadline = time.monotonic() + 240
        while "Ctrl-C stops all." not in log.read_text():
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.5)
        prefect, mlflow, report = (
            re.search(rf"{name}\s+(http://127\.0\.0\.1:\d+)", log.read_text())[1]
            for name in ("Prefect", "MLflow", "Report")
        )
        assert httpx.get(f"{mlflow}/health").text == "OK"
        assert httpx.get(report).status_code in (200, 404)  # as this checkout has a report or none
        deployments = serve.ask(f"{prefect}/api/deployments/filter", {})
        assert {item["name"] for item in deployments} == {"nightly", "on-demand"}
        assert [item["name"] for item in deployments if item["schedules"]] == ["nightly"]
        documented = "prefect deployment run rebuild/on-demand"
        assert documented in commands(repository / "docs" / "operations.md")
        run = [*documented.split(), "--param", f"root={folder}"]
        subprocess.run(
            run, env={**environment, "PATH": PATH, "PREFECT_API_URL": f"{prefect}/api"}, check=True, timeout=120
        )
        while not (folder / "pid.txt").exists():
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.5)
    finally:
        process.send_signal(sent)
        process.wait(120)
    assert (folder / "saved.txt").exists(), "the stage was not given time to save its work"
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "pid.txt").read_text()), 0)
    for address in (prefect, mlflow, report):
        with pytest.raises(httpx.ConnectError):
            httpx.get(address)


class Server:
    """Stands in for Prefect's: flow runs by id, and what is asked of it."""

    def __init__(self, **states: str) -> None:
        self.states = states
        self.asked: list[tuple[str, str]] = []

    def ask(self, url: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        if url.endswith("/flow_runs/filter"):
            wanted = body["flow_runs"]["state"]["type"]["any_"]
            runs = [{"id": key, "name": f"run-{key}", "state": {"type": state}} for key, state in self.states.items()]
            return [run for run in runs if run["state"]["type"] in wanted]
        (key,) = re.findall(r"api/flow_runs/(\w+)/set_state", url)
        self.states[key] = body["state"]["type"]
        self.asked.append((key, self.states[key]))
        return []


@pytest.fixture
def worker() -> Iterator[psutil.Process]:
    """A process with a child that computes flow run `mine`."""
    script = "import subprocess, sys; subprocess.run(['sleep', '60'], env={'PREFECT__FLOW_RUN_ID': 'mine'})"
    process = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    known = psutil.Process(process.pid)
    while not serve.flow_runs_of(known.children(recursive=True)):
        time.sleep(0.05)
    yield known
    stop(process, grace_s=1.0)


def test_only_the_runs_that_the_worker_started_are_cancelled(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], worker: psutil.Process
) -> None:
    """Others of the same server are computed elsewhere; the one that is only taken yet may be ours."""
    server = Server(mine="RUNNING", foreign="RUNNING", taken="PENDING", ending="CANCELLING")
    monkeypatch.setattr(serve, "ask", server.ask)
    monkeypatch.setattr(serve, "CANCEL_TIMEOUT_S", 1.5)
    monkeypatch.setattr(serve, "PENDING_TIMEOUT_S", 0.2)
    serve.cancel_rebuilds("api", worker, is_own_database=False)
    assert server.asked == [("mine", "CANCELLING"), ("mine", "CANCELLED")]  # it did not end by itself
    assert server.states == {"mine": "CANCELLED", "foreign": "RUNNING", "taken": "PENDING", "ending": "CANCELLING"}
    assert "The rebuild run-mine did not end" in capsys.readouterr().out


def test_a_foreign_run_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, worker: psutil.Process) -> None:
    server = Server(foreign="RUNNING")
    monkeypatch.setattr(serve, "ask", server.ask)
    started = time.monotonic()
    serve.cancel_rebuilds("api", worker, is_own_database=False)
    assert time.monotonic() - started < 1.0
    assert not server.asked


def test_what_a_killed_session_left_in_our_own_database_is_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], worker: psutil.Process
) -> None:
    """Nobody else would ever end it. The run of another session, which has its process, goes on."""
    server = Server(stale="RUNNING", mine="RUNNING")
    monkeypatch.setattr(serve, "ask", server.ask)
    with subprocess.Popen(["sleep", "60"]) as idle:
        serve.cancel_rebuilds("api", psutil.Process(idle.pid), is_own_database=True)
        idle.kill()
    assert server.asked == [("stale", "CANCELLED")]
    assert "The rebuild run-stale did not end" in capsys.readouterr().out


def test_a_busy_server_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two answers of 503, then one; and no end of them."""
    statuses = [503, 503, 200]

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(statuses.pop(0) if statuses else 503)
            self.end_headers()
            self.wfile.write(b'{"state": "fine"}')

        def log_message(self, *args: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        assert serve.ask(url, {}) == {"state": "fine"}
        monkeypatch.setattr(serve, "BUSY_TIMEOUT_S", 0.6)
        with pytest.raises(HTTPError, match="503"):
            serve.ask(url, {})
        server.shutdown()
