"""What is known of the stages' runs, as lines for the report."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline_lib.core.errors import DataError
from pipeline_lib.tracking import lineage
from pipeline_lib.tracking.spool import records
from pipeline_lib.tracking.stage_run import LOCK_FILE, StageRun
from pipeline_lib.tracking.store import RegistryError, registry_errors, shown_uri

log = logging.getLogger("face_verifier")

MAX_RUNS = 1000
UNKNOWN = "–"


@dataclass(frozen=True)
class _Run:
    stage: str
    rebuild: str
    status: str
    begun_ms: int
    metrics: dict[str, float]
    run_id: str

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
    """The newest run of each stage in this rebuild; of a cached stage, its last one that finished; in the order they began.

    Sends the spool first. Where MLflow is away the log says so, and the runs are those that wait in the spool. Stages that
    dvc.lock no longer has are left out, and so is the stage that asks.
    """
    try:
        found = _sent(run)
    except RegistryError as error:
        log.warning("The report lists only the runs that wait to be sent. %s", " ".join(str(error).split()))
        found = _waiting(run.record.path.parent)
    ours, locked = run.tags["rebuild"], lineage.locked_stages(LOCK_FILE)
    newest: dict[str, _Run] = {}
    for item in sorted(found, key=lambda item: (item.rebuild == ours, item.begun_ms)):  # ours last: they win
        is_cached = item.status == "FINISHED" and (not locked or item.stage in locked)
        if item.rebuild == ours or is_cached:
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
        "Hardware of the report stage": _below("hardware.", tags),
        "Versions": _below("version.", tags),
    }


def _below(prefix: str, tags: dict[str, str]) -> list[tuple[str, str]]:
    return [(key.removeprefix(prefix), value) for key, value in tags.items() if key.startswith(prefix)]


def _sent(run: StageRun) -> list[_Run]:
    client = run.client
    with registry_errors("MLflow does not tell which runs there are.", run.uri):
        experiment_id = client.get_run(run.run_id).info.experiment_id
        order = ["attributes.start_time DESC"]
        found = client.search_runs([experiment_id], "tags.stage != ''", order_by=order, max_results=MAX_RUNS)
    return [
        _Run(tags["stage"], tags["rebuild"], info.status, info.start_time, item.data.metrics, info.run_id)
        for item in found
        for tags, info in [(item.data.tags, item.info)]
    ]


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
        found.append(_Run(start["stage"], start["tags"]["rebuild"], status, start["begun_ms"], metrics, UNKNOWN))
    return found
