"""What the store knows of the stages' runs, as lines for the report."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline_lib.tracking import lineage
from pipeline_lib.tracking.stage_run import LOCK_FILE, StageRun
from pipeline_lib.tracking.store import shown_uri, tracking_uri

MAX_RUNS = 1000
UNFINISHED = "–"


def latest_runs(run: StageRun) -> list[dict[str, str]]:
    """The newest run of each stage in this run's experiment, in the order they began; a cached stage shows its last one."""
    experiment_id = run.client.get_run(run.run_id).info.experiment_id
    found = run.client.search_runs(
        [experiment_id], "tags.stage != ''", order_by=["attributes.start_time DESC"], max_results=MAX_RUNS
    )
    newest: dict[str, Any] = {}
    for item in found:
        newest.setdefault(item.data.tags["stage"], item)
    return [_line(item) for item in sorted(newest.values(), key=lambda item: item.info.start_time)]


def provenance_groups(run: StageRun) -> dict[str, list[tuple[str, str]]]:
    """Code, hardware and versions of this run as it recorded them, and where the runs are kept."""
    tags: Mapping[str, str] = run.client.get_run(run.run_id).data.tags
    code = [
        ("git commit", f"{tags['git_commit']} ({tags['git_checkout']})"),
        ("dvc.lock SHA-256", f"{tags['dvc_lock_sha256']} ({LOCK_FILE} as the report stage found it)"),
        ("rebuild", tags["rebuild"]),
        ("MLflow store", shown_uri(tracking_uri())),
        ("folder", str(Path.cwd())),
    ]
    return {
        "Code": code,
        "Hardware of the report stage": [(key, tags[f"hardware.{key}"]) for key in lineage.hardware()],
        "Versions": [(key, tags[f"version.{key}"]) for key in lineage.versions()],
    }


def _line(item: Any) -> dict[str, str]:
    metrics, begun = item.data.metrics, datetime.fromtimestamp(item.info.start_time / 1000, UTC)
    wall, peak = metrics.get("stage/wall_time_s"), metrics.get("stage/peak_memory_bytes")
    return {
        "stage": item.data.tags["stage"],
        "status": item.info.status,
        "begun": begun.strftime("%Y-%m-%d %H:%M UTC"),
        "wall_time": UNFINISHED if wall is None else f"{wall:.1f} s",
        "peak_memory": UNFINISHED if peak is None else f"{peak / 2**30:.2f} GiB",
        "rebuild": item.data.tags["rebuild"],
        "run_id": item.info.run_id,
    }
