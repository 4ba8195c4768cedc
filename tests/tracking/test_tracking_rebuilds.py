"""The runs that the report lists."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline_lib.core.errors import DataError
from pipeline_lib.tracking.digests import content_digest
from pipeline_lib.tracking.rebuilds import latest_runs
from pipeline_lib.tracking.stage_run import stage_run


def write_rebuild(params: dict[str, Any], **stages: tuple[str, ...]) -> None:
    """params.yaml of a rebuild, and a lock: each stage's outputs are of these values of it, and of `input` as it is."""
    Path("params.yaml").write_text(yaml.safe_dump(params))
    deps = [{"path": "pipeline_lib", "md5": "0"}, {"path": "input", "md5": content_digest(Path("input"))}]
    locked = {
        stage: {"cmd": "x", "deps": deps, "params": {"params.yaml": {key: params[key] for key in keys}}}
        for stage, keys in stages.items()
    }
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": locked}))


def record(stage: str, failed: bool = False) -> None:
    def work() -> None:
        with stage_run(stage, {}, {"in": Path("input")}) as run:
            run.log_metrics({"x": 1.0})
            if failed:
                raise DataError("broken")

    if failed:
        with pytest.raises(DataError):
            work()
    else:
        work()


@pytest.fixture(autouse=True)
def inputs(workplace: Path) -> None:
    Path("input").write_text("x")


@pytest.mark.parametrize("is_away", [False, True])
def test_cached_stage_is_the_run_that_made_what_is_here(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, is_away: bool
) -> None:
    """Not its newest: params or an input were changed, and changed back, and DVC brought the first outputs again.

    Known from MLflow, or where that is away from the spool.
    """
    first = {"ingest": {"root": "raw", "nested": {"list": [1, 2], "none": None}}, "seed": 1, "other": 0}
    write_rebuild(first)
    for stage in ("ingest", "train", "verify"):
        record(stage)
    write_rebuild({**first, "ingest": {"root": "raw", "nested": {"list": [1, 3], "none": None}}})
    record("ingest")
    Path("input").write_text("y")
    write_rebuild({**first, "other": 1})
    record("train")
    Path("input").write_text("x")
    write_rebuild({**first, "other": 2}, ingest=("ingest", "seed"), train=("seed",), verify=("seed", "other"))
    if is_away:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with stage_run("report", {}, {}) as run:
        lines = latest_runs(run)
    assert [line["stage"] for line in lines] == ["ingest", "train"]  # of verify, none was of these params
    assert len({line["rebuild"] for line in lines}) == 1
    assert (lines[0]["run_id"] == "–") == is_away


def test_this_rebuilds_runs_and_of_cached_stages_their_last(workplace: Path) -> None:
    write_rebuild({"a": 1})
    for stage in ("ingest", "train", "gone", "report"):
        record(stage)
    write_rebuild({"a": 2})  # another params.yaml: ingest stays cached
    record("ingest", failed=True)
    record("train")
    write_rebuild({"a": 3}, ingest=(), train=("a",), verify=("a",), report=("a",))
    record("train")
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
        ("train", "FINISHED", True),
        ("verify", "FINISHED", True),
        ("align", "FAILED", True),
    ]
    assert {line["run_id"] for line in lines} <= set(known.values())
    assert all(line["wall_time"].endswith(" s") and line["peak_memory"].endswith(" GiB") for line in lines)
