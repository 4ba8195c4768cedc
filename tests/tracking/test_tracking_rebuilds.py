"""The runs that the report lists."""

from pathlib import Path

import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.tracking.rebuilds import latest_runs
from pipeline_lib.tracking.stage_run import stage_run


def write_rebuild(text: str, *stages: str) -> None:
    """params.yaml of a rebuild, and a lock that has these stages."""
    Path("params.yaml").write_text(text)
    Path("dvc.lock").write_text("stages:\n" + "".join(f"  {stage}: {{cmd: x}}\n" for stage in stages))


def record(stage: str, failed: bool = False) -> None:
    def work() -> None:
        with stage_run(stage, {}, {}) as run:
            run.log_metrics({"x": 1.0})
            if failed:
                raise DataError("broken")

    if failed:
        with pytest.raises(DataError):
            work()
    else:
        work()


def test_this_rebuilds_runs_and_of_cached_stages_their_last(workplace: Path) -> None:
    write_rebuild("a: 1", "ingest", "train@a")
    for stage in ("ingest", "train@a", "train@gone", "report"):
        record(stage)
    write_rebuild("a: 2", "ingest", "train@a")  # another params.yaml: ingest stays cached
    record("ingest", failed=True)
    record("train@a")
    write_rebuild("a: 3", "ingest", "train@a", "verify", "report")
    record("train@a")
    record("verify", failed=True)
    record("verify")
    record("align", failed=True)
    with stage_run("report", {}, {}) as run:
        lines = latest_runs(run)
        ours = run.tags["rebuild"]
        known = {
            item.data.tags["record"]: item.info.run_id for item in run.client.search_runs(["1"], "tags.stage != ''")
        }
    assert [(line["stage"], line["status"], line["rebuild"] == ours) for line in lines] == [
        ("ingest", "FINISHED", False),
        ("train@a", "FINISHED", True),
        ("verify", "FINISHED", True),
        ("align", "FAILED", True),
    ]
    assert {line["run_id"] for line in lines} <= set(known.values())
    assert all(line["wall_time"].endswith(" s") and line["peak_memory"].endswith(" GiB") for line in lines)
