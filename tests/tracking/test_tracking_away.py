"""A store that is away: no stage waits for it, none fails, and what it did not get goes out when it is back."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from in_mlflow import STAGE, stage_runs, waiting

from pipeline_lib.tracking.rebuilds import latest_runs, provenance_groups
from pipeline_lib.tracking.send import send_all
from pipeline_lib.tracking.stage_run import stage_run
from pipeline_lib.tracking.store import RegistryError, open_client

A_FEW_SECONDS = 10.0  # 3 s to find out; the rest is a busy machine's


@pytest.fixture(params=["closed port", "never answers"])
def away(request: pytest.FixtureRequest, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """MLFLOW_TRACKING_URI names a server that is not there, or one that takes connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if request.param == "never answers":
            listener.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{listener.getsockname()[1]}")
        yield workplace


def test_stage_neither_waits_nor_fails(away: Path) -> None:
    started = time.monotonic()
    with stage_run("align", {}, {}) as run:
        run.log_metrics({"x": 1.0})
    assert time.monotonic() - started < 1.0
    with pytest.raises(RegistryError, match="cannot be reached"):
        send_all()
    assert time.monotonic() - started < A_FEW_SECONDS
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{away}/mlflow.db"
    assert send_all() == 1
    (found,) = stage_runs(open_client())
    assert (found.info.status, found.data.metrics["x"]) == ("FINISHED", 1.0)


def test_report_says_so_and_lists_what_waits(away: Path, caplog: pytest.LogCaptureFixture) -> None:
    with stage_run("align", {}, {}):
        pass
    started = time.monotonic()
    with stage_run("report", {}, {}) as run:
        (line,) = latest_runs(run)
        code = dict(provenance_groups(run)["Code"])
    assert time.monotonic() - started < A_FEW_SECONDS
    assert (line["stage"], line["status"], line["run_id"]) == ("align", "FINISHED", "–")
    assert line["wall_time"].endswith(" s")
    assert code["rebuild"] == line["rebuild"]
    assert caplog.text.count("The report lists only the runs that wait") == 1
    assert len(waiting()) == 2


def test_register_says_what_it_lacks(away: Path) -> None:
    started = time.monotonic()
    with (
        pytest.raises(RegistryError, match=r"cannot be reached(.|\n)*where: http"),
        stage_run("register", {}, {}) as run,
    ):
        run.client  # noqa: B018
    assert time.monotonic() - started < A_FEW_SECONDS


def test_training_announces_it_in_one_line(away: Path) -> None:
    """A live run's own sender finds out; the run says so at its end, and exits as ever."""
    code = STAGE.replace("import sys, time", "import sys, time, logging; logging.basicConfig()")
    code = f"from pipeline_lib.tracking import background; background.LIVE_AFTER_S = 0.0\n{code}"
    command = [sys.executable, "-c", code, "train@a", "8", "live"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ.copy(), timeout=60)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "cannot be reached" in line]
    assert "python -m pipeline_lib.tracking.send" in line
    assert len(waiting()) == 1


def test_server_that_went_away_between_two_requests(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The register stage has its client; its end cannot be sent, which is no failure of the stage."""
    from pipeline_lib.tracking import sender

    def gone(uri: str) -> None:
        raise RegistryError("gone")

    with stage_run("register", {}, {}) as run:
        assert run.client
        monkeypatch.setattr(sender, "check_reach", gone)
    assert len(waiting()) == 1
    monkeypatch.undo()


def test_spool_that_cannot_be_written_is_no_failure(workplace: Path, caplog: pytest.LogCaptureFixture) -> None:
    (workplace / ".tracking").write_text("a file where the folder should be")
    with stage_run("align", {}, {}) as run:
        run.log_metrics({"x": 1.0})
        run.log_artifact(Path(__file__))
        with pytest.raises(RegistryError, match="is not recorded"):
            run.client  # noqa: B018
    assert caplog.text.count("not recorded any further") == 1


def test_artifact_that_cannot_be_copied_is_no_failure_and_one_that_is_not_there_is(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*args: object) -> None:
        raise OSError("No space left on device")

    with stage_run("align", {}, {}) as run:
        with monkeypatch.context() as patch:
            patch.setattr("shutil.copyfile", full)
            run.log_artifact(Path(__file__))
        with pytest.raises(FileNotFoundError, match="nowhere"):
            run.log_artifact(Path("nowhere"))
    assert "No space left on device" in caplog.text
    assert send_all() == 1


def test_threads_and_stage_write_whole_lines(workplace: Path) -> None:
    """The machine's figures come from another thread than the stage's."""
    with stage_run("align", {}, {}) as run:
        writers = [
            threading.Thread(target=lambda: [run.log_metrics({f"m{n}": 1.0 for n in range(50)}) for _ in range(100)])
            for _ in range(4)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
    lines, _ = run.record.read()
    assert sum(kind == "metrics" for kind, _ in lines) == 401
