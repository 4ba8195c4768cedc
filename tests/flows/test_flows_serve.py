"""`make ui`: everything answers on the loopback address, and nothing is left after Ctrl-C, not even a running rebuild."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from tiny_pipeline import make_tiny_pipeline

from flows import serve


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
        )
    try:
        deadline = time.monotonic() + 240
        while "Ctrl-C stops all." not in log.read_text():
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.5)
        prefect, mlflow = (
            re.search(rf"{name}\s+(http://127\.0\.0\.1:\d+)", log.read_text())[1] for name in ("Prefect", "MLflow")
        )
        assert httpx.get(f"{mlflow}/health").text == "OK"
        deployments = httpx.post(f"{prefect}/api/deployments/filter", json={}).json()
        assert {item["name"] for item in deployments} == {"nightly", "on-demand"}
        assert [item["name"] for item in deployments if item["schedules"]] == ["nightly"]
        (on_demand,) = (item["id"] for item in deployments if item["name"] == "on-demand")
        started = httpx.post(
            f"{prefect}/api/deployments/{on_demand}/create_flow_run", json={"parameters": {"root": str(folder)}}
        )
        started.raise_for_status()
        while not (folder / "pid.txt").exists():
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.5)
    finally:
        process.send_signal(sent)
        process.wait(120)
    assert (folder / "saved.txt").exists(), "the stage was not given time to save its work"
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "pid.txt").read_text()), 0)
    for address in (prefect, mlflow):
        with pytest.raises(httpx.ConnectError):
            httpx.get(address)


def test_a_run_that_no_worker_knows_is_ended_after_the_wait(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a killed session leaves it in the database: nobody would ever end it."""
    run = {"id": "7", "name": "stale", "state": {"type": "RUNNING"}}
    asked: list[tuple[str, str]] = []

    def ask(url: str, body: dict) -> list[dict]:
        if url.endswith("/flow_runs/filter"):
            wanted = body["flow_runs"]["state"]["type"]["any_"]
            return [dict(run)] if run["state"]["type"] in wanted else []
        asked.append((url, body["state"]["type"]))
        run["state"] = body["state"]
        return []

    monkeypatch.setattr(serve, "ask", ask)
    monkeypatch.setattr(serve, "CANCEL_TIMEOUT_S", 1.0)
    serve.cancel_rebuilds("api")
    assert asked == [("api/flow_runs/7/set_state", "CANCELLING"), ("api/flow_runs/7/set_state", "CANCELLED")]
    assert "The rebuild stale did not end" in capsys.readouterr().out
