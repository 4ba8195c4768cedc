"""One MLflow run a stage, the runs of one rebuild as children of one parent, each with what it was made from."""

import hashlib
import json
import logging
import os
import platform
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from pipeline_lib.core.errors import Interrupted
from pipeline_lib.params.load import load_params
from pipeline_lib.tracking import lineage
from pipeline_lib.tracking.store import artifact_folder, open_client, store_lock, tracking_uri
from pipeline_lib.tracking.system_metrics import system_metrics

log = logging.getLogger("face_verifier")

DEFAULT_EXPERIMENT = "face-verifier"
MAX_VALUE_CHARACTERS = 500
MAX_PARAMS_A_BATCH, MAX_METRICS_A_BATCH = 100, 1000  # MLflow's limits
EXPERIMENT_NAME = "DVC_EXP_NAME"  # `dvc exp run` sets it to the name that `dvc exp show` lists
PARAMS_FILE, LOCK_FILE = Path("params.yaml"), Path("dvc.lock")


@dataclass(frozen=True)
class StageRun:
    """A stage's open run; `client` is an MlflowClient."""

    client: Any
    run_id: str
    parent_run_id: str

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log flat figures in one transaction; they can be seen while the stage runs."""
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        entries = [Metric(key, float(value), now_ms, step or 0) for key, value in metrics.items()]
        for start in range(0, len(entries), MAX_METRICS_A_BATCH):
            self.client.log_batch(self.run_id, metrics=entries[start : start + MAX_METRICS_A_BATCH])

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Copy a file to the run's artifacts, below `folder` if one is given."""
        self.client.log_artifact(self.run_id, str(path), folder)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags; longer values than 500 characters are cut, and say so."""
        from mlflow.entities import RunTag

        self.client.log_batch(self.run_id, tags=[RunTag(key, shorten(value)) for key, value in tags.items()])


@contextmanager
def stage_run(stage: str, params: Mapping[str, object], inputs: Mapping[str, Path]) -> Iterator[StageRun]:
    """Record a stage as a child of this rebuild's run; call it on rank 0 only.

    Args:
        stage: the stage's name as `dvc stage list` gives it, train@iresnet.
        params: the stage's sections of params.yaml; nested mappings are flattened to `align.detector`.
        inputs: name -> file or folder read; their DVC digests become the run's MLflow datasets.

    A stage that raises ends as FAILED (the error becomes tag `error`), one stopped by Ctrl-C or Interrupted as KILLED.
    One that is killed leaves its run RUNNING; the next run of that stage in the same rebuild marks it KILLED. Wall time and peak
    memory of the process become metrics below stage/, those of the machine below system/ while it runs. Opening a run takes
    about 3.5 s, nearly all of it importing MLflow; a metric about 10 ms.

    Raises:
        RegistryError: the store cannot be opened.
    """
    run = _start(stage, params, inputs)
    started = time.monotonic()
    status = "FINISHED"
    try:
        with system_metrics(run.run_id, tracking_uri()):
            yield run
    except (KeyboardInterrupt, Interrupted):
        status = "KILLED"
        raise
    except BaseException as error:
        status = "FAILED"
        run.set_tags({"error": f"{type(error).__name__}: {error}"})
        raise
    finally:
        run.log_metrics({"stage/wall_time_s": time.monotonic() - started, **_peak_memory()})
        run.client.set_terminated(run.run_id, status)
        with store_lock(tracking_uri()):
            _close_parent(run)


def flatten(values: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Nested mappings as dotted keys; lists as JSON; values over 500 characters cut, with their length said."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = shorten(json.dumps(value) if isinstance(value, list | tuple) else str(value))
    return flat


def shorten(text: str) -> str:
    """`text`, or its first 500 characters and how many there were."""
    if len(text) <= MAX_VALUE_CHARACTERS:
        return text
    return f"{text[:MAX_VALUE_CHARACTERS]}... ({len(text)} characters)"


def _start(stage: str, params: Mapping[str, object], inputs: Mapping[str, Path]) -> StageRun:
    client = open_client()
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param  # after open_client, which turns telemetry off

    commit, checkout = lineage.git_state()
    if commit == lineage.UNKNOWN:
        log.warning("No git commit here: runs are recorded with commit %r.", lineage.UNKNOWN)
    params_text = PARAMS_FILE.read_bytes() if PARAMS_FILE.exists() else b""
    rebuild = lineage.rebuild_id(commit, params_text)
    about = {
        "rebuild": rebuild,
        "git_commit": commit,
        "git_checkout": checkout,
        "mlflow.source.git.commit": commit,
        "dvc_lock_sha256": _sha256_if_there(LOCK_FILE),
        **({"dvc_experiment": os.environ[EXPERIMENT_NAME]} if EXPERIMENT_NAME in os.environ else {}),
        **{f"hardware.{key}": value for key, value in lineage.hardware().items()},
        **{f"version.{key}": value for key, value in lineage.versions().items()},
    }
    with store_lock(tracking_uri()):
        experiment_id = _experiment(client)
        parent = _parent(client, experiment_id, about, params_text)
        _mark_killed(client, experiment_id, parent, stage)
        process = {
            "stage": stage,
            "host": platform.node(),
            "pid": str(os.getpid()),
            "process_started": _process_started(os.getpid()),
        }
        tags = {**about, **process, "mlflow.parentRunId": parent}
        run_id = str(client.create_run(experiment_id, tags=tags, run_name=stage).info.run_id)
        client.update_run(parent, status="RUNNING")
    run = StageRun(client, run_id, parent)
    flat = [Param(key, value) for key, value in flatten(params).items()]
    for start in range(0, len(flat), MAX_PARAMS_A_BATCH):
        client.log_batch(run_id, params=flat[start : start + MAX_PARAMS_A_BATCH])
    datasets = [
        DatasetInput(
            Dataset(
                name=item.name, digest=item.digest, source_type="local", source=json.dumps({"uri": str(item.path)})
            ),
            [InputTag("mlflow.data.context", stage.partition("@")[0]), InputTag("digest_from", item.source)],
        )
        for item in lineage.data_digests(inputs, LOCK_FILE)
    ]
    if datasets:
        client.log_inputs(run_id, datasets)
    return run


def _experiment(client: Any) -> str:
    name = load_params(PARAMS_FILE).register_.experiment if PARAMS_FILE.exists() else DEFAULT_EXPERIMENT
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(name, artifact_location=artifact_folder(tracking_uri())))


def _parent(client: Any, experiment_id: str, about: Mapping[str, str], params_text: bytes) -> str:
    """The rebuild's run; the oldest one if machines without a common lock made two."""
    from mlflow.entities import Param

    wanted = f"tags.rebuild = '{about['rebuild']}' and tags.kind = 'rebuild'"
    found = client.search_runs([experiment_id], wanted, order_by=["attributes.start_time ASC"], max_results=1)
    if found:
        return str(found[0].info.run_id)
    run_id = str(
        client.create_run(
            experiment_id, tags={**about, "kind": "rebuild"}, run_name=f"rebuild-{about['rebuild']}"
        ).info.run_id
    )
    flat = [Param(key, value) for key, value in flatten(yaml.safe_load(params_text) or {}).items()]
    for start in range(0, len(flat), MAX_PARAMS_A_BATCH):
        client.log_batch(run_id, params=flat[start : start + MAX_PARAMS_A_BATCH])
    return run_id


def _children(client: Any, experiment_id: str, parent: str, extra: str = "") -> list[Any]:
    """The parent's runs, newest first."""
    wanted = f"tags.`mlflow.parentRunId` = '{parent}'{extra}"
    return list(client.search_runs([experiment_id], wanted, order_by=["attributes.start_time DESC"], max_results=1000))


def _mark_killed(client: Any, experiment_id: str, parent: str, stage: str) -> None:
    """End the RUNNING runs of `stage` whose process is gone (or sits on another machine, where nobody can ask)."""
    for run in _children(
        client, experiment_id, parent, f" and tags.stage = '{stage}' and attributes.status = 'RUNNING'"
    ):
        tags = run.data.tags
        alive = tags.get("host") == platform.node() and _process_started(int(tags["pid"])) == tags["process_started"]
        if not alive:
            client.set_terminated(run.info.run_id, "KILLED")


def _close_parent(run: StageRun) -> None:
    """Give the rebuild the state of its stages' latest runs: RUNNING while one runs, else FAILED if one failed."""
    experiment_id = run.client.get_run(run.parent_run_id).info.experiment_id
    latest: dict[str, str] = {}
    for child in _children(run.client, experiment_id, run.parent_run_id):
        latest.setdefault(child.data.tags["stage"], child.info.status)
    states = set(latest.values())
    if "RUNNING" in states:
        return
    run.client.set_terminated(run.parent_run_id, "FAILED" if states & {"FAILED", "KILLED"} else "FINISHED")


def _process_started(pid: int) -> str:
    """When a process began, which tells it from a later one of the same id; "gone" if there is none."""
    try:
        return str(psutil.Process(pid).create_time())
    except psutil.Error:
        return "gone"


def _peak_memory() -> dict[str, float]:
    """Peak resident memory of this process and of its largest finished child, in bytes (Linux counts KiB)."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return {"stage/peak_memory_bytes": float(own), "stage/largest_child_peak_memory_bytes": float(child)}


def _sha256_if_there(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else lineage.UNKNOWN
