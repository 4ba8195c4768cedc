"""`make ui`: Prefect server, a worker with the deployments of prefect.yaml, MLflow and the report, on 127.0.0.1 until Ctrl-C."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from flows.processes import stop
from flows.publish import MLFLOW_URL, REPORT_URL
from flows.report_page import serve_report
from pipeline_lib.core.errors import PipelineError
from pipeline_lib.tracking.moved import follow_folder
from pipeline_lib.tracking.store import tracking_uri

HOST = "127.0.0.1"
START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 20.0
CANCEL_TIMEOUT_S = 60.0  # the worker sees a cancelled run within 10 s, and its stages have 25 to save their work
BUSY_STATUS, BUSY_TIMEOUT_S = 503, 30.0  # the answer while another transaction holds the sqlite database
PENDING_TIMEOUT_S = 10.0  # a run that the worker has taken has a process by then
WORK_POOL = "face-verifier-local"
FLOW_RUN = "PREFECT__FLOW_RUN_ID"  # Prefect's worker sets it for the process of a flow run
OTHER_DATABASE = ("PREFECT_HOME", "PREFECT_API_DATABASE_CONNECTION_URL")  # unset: only this checkout's sessions use it


def free_port(wanted: int) -> int:
    """`wanted` if nothing listens there, else any free port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError:
            probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def wait_until_up(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Poll `url` until it answers.

    Raises:
        PipelineError: the process ended, or nothing answered within START_TIMEOUT_S.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise PipelineError("A server ended while starting; its output is above.", got=process.args)
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise PipelineError("A server did not answer in time.", got=url, allowed=f"{START_TIMEOUT_S:.0f} s")


def ask(url: str, body: dict[str, Any]) -> Any:
    """What Prefect's REST API answers to a POST; while its database is busy, it is asked again, as Prefect's own client does.

    Raises:
        ConnectionError: nobody listens there.
        HTTPError: it refused, or was busy for BUSY_TIMEOUT_S.
    """
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    until = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            if error.code != BUSY_STATUS or time.monotonic() >= until:
                raise
            time.sleep(0.5)
        except urllib.error.URLError as error:
            raise error.reason if isinstance(error.reason, ConnectionError) else error from None


def flow_runs_of(processes: Iterable[psutil.Process]) -> set[str]:
    """The ids of the flow runs that these processes compute."""
    found = set()
    for process in processes:
        with contextlib.suppress(psutil.Error):  # it ended, or is another user's
            found.add(process.environ().get(FLOW_RUN, ""))
    return found - {""}


def cancel_rebuilds(api: str, worker: psutil.Process, is_own_database: bool) -> None:
    """Cancel the rebuilds that the worker started and wait until they have ended; others of the same server go on.

    A worker that is stopped kills its flows at once, and their stages would go on without anybody who knows of them.

    Args:
        api: of the server.
        worker: its process, whose children the rebuilds are.
        is_own_database: only sessions of this checkout on this machine use the server's database: a run without a process
            here is what a killed session left, and is ended, too. It would keep the deployment's only slot for good.
    """

    def unfinished() -> list[dict[str, Any]]:
        states = {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}
        found: list[dict[str, Any]] = ask(f"{api}/flow_runs/filter", {"flow_runs": {"state": states}})
        return found

    def put(run: dict[str, Any], state: str) -> None:
        ask(f"{api}/flow_runs/{run['id']}/set_state", {"state": {"type": state, "name": state.capitalize()}})

    begun, started = time.monotonic(), set[str]()
    while (elapsed_s := time.monotonic() - begun) < CANCEL_TIMEOUT_S:
        started |= flow_runs_of(worker.children(recursive=True))
        runs = unfinished()
        mine = [run for run in runs if run["id"] in started]
        if not mine and (elapsed_s > PENDING_TIMEOUT_S or all(run["state"]["type"] != "PENDING" for run in runs)):
            break
        for run in mine:
            if run["state"]["type"] == "RUNNING":  # one that is starting runs in a moment
                print(f"Stopping the rebuild {run['name']}; Ctrl-C again does not wait for it.", flush=True)
                put(run, "CANCELLING")
        time.sleep(0.5)
    for run in unfinished():
        if run["id"] in started or (is_own_database and run["id"] not in flow_runs_of(psutil.process_iter())):
            put(run, "CANCELLED")  # the worker does not know it, or it hangs
            print(f"The rebuild {run['name']} did not end; see whether stages of it still run.", flush=True)


def before_the_worker_ends(worker: "subprocess.Popen[bytes]", api: str) -> None:
    """Cancel its rebuilds, unless it or the server is gone already."""
    if worker.poll() is None:
        # no server; no worker any more; a second Ctrl-C
        with contextlib.suppress(ConnectionError, psutil.NoSuchProcess, KeyboardInterrupt):
            cancel_rebuilds(api, psutil.Process(worker.pid), not any(name in os.environ for name in OTHER_DATABASE))


def main(root: Path = Path()) -> None:
    """Start everything, print the addresses, and stop everything at Ctrl-C or SIGTERM."""
    root = root.resolve()
    prefect_port, mlflow_port, report_port = free_port(4200), free_port(5000), free_port(5001)
    mlflow_url, report_url = f"http://{HOST}:{mlflow_port}", f"http://{HOST}:{report_port}"
    store = tracking_uri()
    follow_folder(store)
    api = f"http://{HOST}:{prefect_port}/api"
    bin_dir = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(bin_dir), os.environ.get("PATH", "")]),
        "PREFECT_HOME": os.environ.get("PREFECT_HOME", str(root / ".prefect")),
        "PREFECT_API_URL": api,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_UI_ENABLED": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "FACE_VERIFIER_ROOT": str(root),
        MLFLOW_URL: mlflow_url,
        REPORT_URL: report_url,
    }

    with ExitStack() as running:

        def start(*command: str) -> "subprocess.Popen[bytes]":
            process = subprocess.Popen(
                [str(bin_dir / command[0]), *command[1:]], cwd=root, env=environment, start_new_session=True
            )
            running.callback(stop, process, grace_s=STOP_TIMEOUT_S)
            return process

        def call(*command: str) -> None:
            subprocess.run(
                [str(bin_dir / command[0]), *command[1:]],
                cwd=root,
                env=environment,
                check=True,
                stdout=subprocess.DEVNULL,
            )

        # SIGINT too: a shell that starts us in the background has it ignored.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        try:
            server = start(
                "prefect", "server", "start", "--host", HOST, "--port", str(prefect_port), "--log-level", "WARNING"
            )
            mlflow = start(
                "mlflow", "ui", "--host", HOST, "--port", str(mlflow_port), "--workers", "1",
                "--backend-store-uri", store,
            )  # fmt: skip
            running.enter_context(serve_report(root, HOST, report_port))
            wait_until_up(f"{api}/health", server)
            call("prefect", "work-pool", "create", WORK_POOL, "--type", "process", "--overwrite")
            call("prefect", "--no-prompt", "deploy", "--all")
            worker = start("prefect", "worker", "start", "--pool", WORK_POOL, "--name", "face-verifier-worker")
            running.callback(before_the_worker_ends, worker, api)
            wait_until_up(f"{mlflow_url}/health", mlflow)
            print(
                f"Prefect  http://{HOST}:{prefect_port}",
                f"MLflow   {mlflow_url}",
                f"Report   {report_url}",
                "Ctrl-C stops all.",
                sep="\n",
                flush=True,
            )
            while all(process.poll() is None for process in (server, mlflow, worker)):
                time.sleep(1.0)
            raise PipelineError("A server ended by itself; its output is above.")
        except KeyboardInterrupt:
            print("Stopping.", flush=True)


if __name__ == "__main__":
    try:
        main()
    except PipelineError as error:
        sys.exit(f"{type(error).__name__}: {error}")
