"""The run of a rebuild, parent of its stages' runs, and the experiment that holds them."""

import logging
import platform
import time
from collections.abc import Mapping
from typing import Any

import yaml

from pipeline_lib.tracking.origin import NOTE, PROCESS_TAGS, flatten
from pipeline_lib.tracking.spool import SILENT_S, process_started
from pipeline_lib.tracking.store import artifact_folder

log = logging.getLogger("face_verifier")

MAX_PARAMS_A_BATCH = 100  # MLflow's limit
# Of what MLflow's pages know (its ExperimentKind): without the tag it takes the experiment for one of language models.
EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",
    NOTE: "Rebuilds of a face verifier that shows why. A run is a rebuild (one commit, one `params.yaml`), its child runs are "
    "the stages. Compare rebuilds by their `headline/` figures: the best score of each protocol, and what the registered model "
    "does at its threshold.",
}


def find_experiment(client: Any, uri: str, name: str) -> str:
    """The id of the experiment, which is made if there is none, and restored if somebody deleted it."""
    found = client.get_experiment_by_name(name)
    if found is None:
        folder = artifact_folder(uri)
        place = folder.as_uri() if folder else None
        return str(client.create_experiment(name, artifact_location=place, tags=EXPERIMENT_TAGS))
    if found.lifecycle_stage == "deleted":
        log.warning("MLflow experiment %r was deleted; it is restored for the runs to come.", name)
        client.restore_experiment(found.experiment_id)
    for key, value in EXPERIMENT_TAGS.items():
        if key not in found.tags:  # an earlier version made it; what a person wrote stays
            client.set_experiment_tag(found.experiment_id, key, value)
    return str(found.experiment_id)


def find_rebuild(client: Any, experiment_id: str, start: Mapping[str, Any]) -> str:
    """The id of the run of a stage's rebuild, made if there is none; the oldest if machines without a common lock made two.

    Args:
        start: the `start` of the stage's record.
    """
    tags = {key: value for key, value in start["tags"].items() if key not in PROCESS_TAGS}
    wanted = f"tags.rebuild = '{tags['rebuild']}' and tags.kind = 'rebuild'"
    found = client.search_runs([experiment_id], wanted, order_by=["attributes.start_time ASC"], max_results=1)
    if found:
        return str(found[0].info.run_id)
    about = f"Rebuild at commit {tags.get('git_commit', 'unknown')} ({tags.get('git_checkout', 'unknown')} checkout)."
    tags |= {
        "kind": "rebuild",
        NOTE: f"{about} Its stages are the child runs, its headline figures those of the best scores.",
    }
    made = client.create_run(experiment_id, start["begun_ms"], tags, f"rebuild-{tags['rebuild']}")
    log_params(client, made.info.run_id, parsed_params(start["params_text"]))
    return str(made.info.run_id)


def parsed_params(text: str) -> dict[str, str]:
    """params.yaml, flat; none where a user broke the file, which the stages say."""
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return flatten(loaded) if isinstance(loaded, dict) else {}


def log_params(client: Any, run_id: str, params: Mapping[str, str]) -> None:
    """Log flat params, in batches that MLflow takes; again is no harm."""
    from mlflow.entities import Param

    entries = [Param(key, value) for key, value in params.items()]
    for first in range(0, len(entries), MAX_PARAMS_A_BATCH):
        client.log_batch(run_id, params=entries[first : first + MAX_PARAMS_A_BATCH])


def mark_killed(client: Any, experiment_id: str, parent: str, stage: str) -> None:
    """End the RUNNING runs of `stage` whose process is gone; of another host's, those that gave no sign for SILENT_S."""
    wanted = f" and tags.stage = '{stage}' and attributes.status = 'RUNNING'"
    for run in _children(client, experiment_id, parent, wanted):
        tags = run.data.tags
        if tags["host"] == platform.node():
            is_gone = process_started(int(tags["pid"])) != tags["process_started"]
        else:
            is_gone = time.time() - _last_sign_s(client, run) > SILENT_S
        if is_gone:
            client.set_terminated(run.info.run_id, "KILLED")


def _last_sign_s(client: Any, run: Any) -> float:
    """When a run last logged a figure, or began; the figures of the machine come at least once a minute."""
    times = [run.info.start_time]
    for key in run.data.metrics:
        times += [point.timestamp for point in client.get_metric_history(run.info.run_id, key)]
    return float(max(times)) / 1000


def close_rebuild(client: Any, experiment_id: str, parent: str, is_going_on: bool) -> None:
    """Give the rebuild the state of its stages' latest runs: RUNNING while one runs, else FAILED if one failed.

    One that somebody deleted meanwhile stays as it is; the next run of it makes another.

    Args:
        is_going_on: a stage of it runs, of which MLflow need not know yet.
    """
    if not client.search_runs([experiment_id], f"attributes.run_id = '{parent}'"):
        return
    latest: dict[str, Any] = {}
    for child in _children(client, experiment_id, parent):
        latest.setdefault(child.data.tags["stage"], child.info)
    states = {info.status for info in latest.values()}
    if is_going_on or "RUNNING" in states:
        client.update_run(parent, status="RUNNING")
    else:
        ended_ms = max((info.end_time for info in latest.values()), default=None)
        client.set_terminated(parent, "FAILED" if states & {"FAILED", "KILLED"} else "FINISHED", ended_ms)


def _children(client: Any, experiment_id: str, parent: str, extra: str = "") -> list[Any]:
    """The parent's runs, newest first."""
    wanted = f"tags.`mlflow.parentRunId` = '{parent}'{extra}"
    return list(client.search_runs([experiment_id], wanted, order_by=["attributes.start_time DESC"], max_results=1000))
