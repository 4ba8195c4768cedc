"""What is known of the stages' runs, as lines for the report."""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline_lib.core.errors import DataError
from pipeline_lib.tracking.digests import SIZE, locked_stages
from pipeline_lib.tracking.origin import DIGEST_FROM, flatten
from pipeline_lib.tracking.rebuild_run import parsed_params
from pipeline_lib.tracking.spool import records
from pipeline_lib.tracking.stage_run import LOCK_FILE, PARAMS_FILE, StageRun
from pipeline_lib.tracking.store import RegistryError, registry_errors, shown_uri

log = logging.getLogger("face_verifier")

MAX_RUNS = 1000
UNKNOWN = "–"


@dataclass(frozen=True)
class _Run:
    """`params`: params.yaml as it was then, flat. `inputs`: digests by path, so far as they were read or known."""

    stage: str
    rebuild: str
    status: str
    begun_ms: int
    metrics: Mapping[str, float]
    run_id: str
    params: Mapping[str, str]
    inputs: Mapping[str, str]

    def belongs(self, ours: str, locked: Mapping[str, Any]) -> bool:
        """Whether it made the stage's outputs, whose params and inputs dvc.lock has; or, having made none, is of this rebuild."""
        if self.status != "FINISHED" or self.stage not in locked:
            return self.rebuild == ours
        entry = locked[self.stage]
        deps = {dep["path"]: dep.get("md5") for dep in entry.get("deps", [])}
        if any(deps.get(path, digest) != digest for path, digest in self.inputs.items()):
            return False
        values = entry.get("params", {}).get(str(PARAMS_FILE), {})
        return all(_below(key, self.params) == flatten({key: value}) for key, value in values.items())

    def line(self) -> dict[str, str]:
        wall, peak = self.metrics.get("stage/wall_time_s"), self.metrics.get("stage/peak_memory_bytes")
        return {
            "stage": self.stage,
            "status": self.status,
            "begun": datetime.fromtimestamp(self.begun_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "wall_time": UNKNOWN if wall is None else f"{wall:.1f} s",
            "peak_memory": UNKNOWN if peak is None else f"{peak / 2**30:.2f} GiB",
            "rebuild": self.rebuild,
            "run_id": self.run_id,
        }


def latest_runs(run: StageRun) -> list[dict[str, str]]:
    """The newest run of each stage that made what lies there, or of this rebuild that made nothing; in the order they began.

    Made what lies there: finished, with the params and inputs from which dvc.lock has the stage's outputs; one of this rebuild
    before others. Sends the spool first. Where MLflow is away the log says so, and the runs are those that wait in the spool.
    A stage of which no such run is known is left out, and so is the one that asks.
    """
    try:
        found = _sent(run)
    except RegistryError as error:
        log.warning("The report lists only the runs that wait to be sent. %s", " ".join(str(error).split()))
        found = _waiting(run.record.path.parent)
    ours, locked = run.tags["rebuild"], locked_stages(LOCK_FILE)
    newest: dict[str, _Run] = {}
    for item in sorted(found, key=lambda item: (item.rebuild == ours, item.begun_ms)):  # ours last: they win
        if item.belongs(ours, locked):
            newest[item.stage] = item
    newest.pop(run.tags["stage"], None)
    return [item.line() for item in sorted(newest.values(), key=lambda item: item.begun_ms)]


def provenance_groups(run: StageRun) -> dict[str, list[tuple[str, str]]]:
    """Code, hardware and versions of this run as it recorded them, and where the runs are kept."""
    tags = run.tags
    code = [
        ("git commit", f"{tags['git_commit']} ({tags['git_checkout']})"),
        ("dvc.lock SHA-256", f"{tags['dvc_lock_sha256']} ({LOCK_FILE} as the report stage found it)"),
        ("rebuild", tags["rebuild"]),
        ("MLflow store", shown_uri(run.uri)),
        ("folder", str(Path.cwd())),
    ]
    return {
        "Code": code,
        "Hardware of the report stage": _tagged("hardware", tags),
        "Versions": _tagged("version", tags),
    }


def _tagged(prefix: str, tags: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(key.removeprefix(f"{prefix}."), value) for key, value in _below(prefix, tags).items()]


def _below(prefix: str, values: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in values.items() if key == prefix or key.startswith(f"{prefix}.")}


def _sent(run: StageRun) -> list[_Run]:
    client = run.client
    with registry_errors("MLflow does not tell which runs there are.", run.uri):
        experiments, order = [client.get_run(run.run_id).info.experiment_id], ["attributes.start_time DESC"]
        found = client.search_runs(experiments, "tags.stage != ''", order_by=order, max_results=MAX_RUNS)
        rebuilds = client.search_runs(experiments, "tags.kind = 'rebuild'", order_by=order, max_results=MAX_RUNS)
    params = {item.info.run_id: item.data.params for item in rebuilds}
    return [
        _Run(
            tags["stage"],
            tags["rebuild"],
            info.status,
            info.start_time,
            item.data.metrics,
            info.run_id,
            params.get(tags.get("mlflow.parentRunId"), {}),
            dict(_inputs(item.inputs.dataset_inputs)),
        )
        for item in found
        for tags, info in [(item.data.tags, item.info)]
    ]


def _inputs(dataset_inputs: Iterable[Any]) -> Iterable[tuple[str, str]]:
    for item in dataset_inputs:
        if {tag.key: tag.value for tag in item.tags}.get(DIGEST_FROM) != SIZE:
            yield json.loads(item.dataset.source)["uri"], item.dataset.digest


def _waiting(spool: Path) -> list[_Run]:
    found = []
    for record in records(spool):
        try:
            start, (lines, _), is_running = record.start(), record.read(), record.is_running()
        except (FileNotFoundError, DataError):  # sent meanwhile; or broken, which its sender says
            continue
        metrics = {key: value for kind, line in lines if kind == "metrics" for key, value in line["values"].items()}
        ends = [line["status"] for kind, line in lines if kind == "end"]
        status = ends[0] if ends else "RUNNING" if is_running else "KILLED"
        inputs = {item["path"]: item["digest"] for item in start["datasets"] if item[DIGEST_FROM] != SIZE}
        params = parsed_params(start["params_text"])
        found.append(
            _Run(start["stage"], start["tags"]["rebuild"], status, start["begun_ms"], metrics, UNKNOWN, params, inputs)
        )
    return found
