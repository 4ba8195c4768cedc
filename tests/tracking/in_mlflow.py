"""What MLflow holds after the spool was sent."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipeline_lib.tracking.send import send_all
from pipeline_lib.tracking.spool import records, spool_folder
from pipeline_lib.tracking.stage_run import StageRun
from pipeline_lib.tracking.store import open_client, tracking_uri

STAGE = """
import sys, time
from pathlib import Path
from pipeline_lib.tracking.stage_run import stage_run
with stage_run(sys.argv[1], {"a": 1}, {}, live=sys.argv[3] == "live") as run:
    run.log_metrics({"x": 1.0})
    print("open", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def start_stage(stage: str, sleep_s: float, live: bool = False) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", STAGE, stage, str(sleep_s), "live" if live else "later"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ.copy())


def waiting() -> list[Path]:
    """The records in the spool."""
    return [record.path for record in records(spool_folder(tracking_uri()))]


def all_runs(client: Any) -> list[Any]:
    """By when they began, rebuilds among them."""
    experiments = [item.experiment_id for item in client.search_experiments()]
    return list(client.search_runs(experiments, order_by=["attributes.start_time ASC"]))


def stage_runs(client: Any) -> list[Any]:
    return [run for run in all_runs(client) if "stage" in run.data.tags]


def parents(client: Any) -> list[Any]:
    return [run for run in all_runs(client) if run.data.tags.get("kind") == "rebuild"]


def sent(run: StageRun) -> tuple[Any, Any, Any]:
    """Send the spool; a client, the run, and its rebuild's."""
    send_all()
    client = open_client()
    (found,) = [item for item in all_runs(client) if item.data.tags.get("record") == run.record.name]
    return client, found, client.get_run(found.data.tags["mlflow.parentRunId"])
