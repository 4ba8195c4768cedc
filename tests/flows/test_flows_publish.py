"""What a rebuild leaves in Prefect's UI; that the real server takes it, test_flows_rebuild.py says."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows import publish
from pipeline_lib.core.errors import PipelineError
from pipeline_lib.tracking.lineage import rebuild_id
from pipeline_lib.tracking.store import RegistryError


class Store:
    """Stands in for MLflow's client: one experiment with the runs of some rebuilds."""

    def __init__(self, **runs: str) -> None:
        self.runs = runs

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id="7") if name == "face-verifier" else None

    def search_runs(self, experiments: list[str], wanted: str, max_results: int) -> list[Any]:
        assert experiments == ["7"]
        found = [run_id for rebuild, run_id in self.runs.items() if f"'{rebuild}'" in wanted]
        return [SimpleNamespace(info=SimpleNamespace(run_id=run_id, experiment_id="7")) for run_id in found]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """key -> what an artifact shows."""
    artifacts: dict[str, Any] = {}
    monkeypatch.setattr(
        publish, "create_table_artifact", lambda key, table, description: artifacts.update({key: table})
    )
    monkeypatch.setattr(publish, "create_markdown_artifact", lambda key, markdown: artifacts.update({key: markdown}))
    monkeypatch.setattr(publish, "read_metrics", lambda folder: {"data/a.json": {"auc": 0.9, "of": {"val": 1}}})
    monkeypatch.setattr(publish, "git_state", lambda folder: ("abc", "clean"))
    monkeypatch.setattr(publish, "is_store", lambda uri: True)
    monkeypatch.setattr(publish, "get_run_logger", lambda: logging.getLogger("flow"))
    for name in ("MLFLOW_TRACKING_URI", publish.REPORT_URL, publish.MLFLOW_URL):
        monkeypatch.delenv(name, raising=False)
    return artifacts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text("a: 1\n")
    (tmp_path / "data" / "report").mkdir(parents=True)
    (tmp_path / "data" / "report" / "index.html").touch()
    return tmp_path


def test_links_lead_to_what_make_ui_serves(made: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = rebuild_id("abc", b"a: 1\n")
    monkeypatch.setattr(publish, "open_client", lambda uri: Store(**{mine: "r1", "another": "r2"}))
    monkeypatch.setenv(publish.REPORT_URL, "http://127.0.0.1:5001")
    monkeypatch.setenv(publish.MLFLOW_URL, "http://127.0.0.1:5000")
    publish.publish(folder, {"one": "ran", "two": "cached"})
    assert made["stages"] == [{"stage": "one", "outcome": "ran"}, {"stage": "two", "outcome": "cached"}]
    assert made["metrics"] == [{"file": "data/a.json", "auc": 0.9, "of / val": 1}]
    assert made["rebuild"].startswith("**1 of 2 stages ran.**")
    assert "[The report](http://127.0.0.1:5001)" in made["rebuild"]
    assert "(http://127.0.0.1:5000/#/experiments/7/runs/r1)" in made["rebuild"]


def test_nothing_ran_makes_no_figures(made: dict[str, Any], folder: Path) -> None:
    publish.publish(folder, {"one": "cached"})
    assert set(made) == {"stages"}


def test_without_the_pages_of_make_ui_places_are_named(
    made: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "open_client", lambda uri: Store(**{rebuild_id("abc", b"a: 1\n"): "r1"}))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////store/mlflow.db")
    publish.publish(folder, {"one": "ran"})
    assert f"`{folder}/data/report/index.html`" in made["rebuild"]
    assert "`r1` in `sqlite:////store/mlflow.db`" in made["rebuild"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example")
    publish.publish(folder, {"one": "ran"})
    assert "(https://mlflow.example/#/experiments/7/runs/r1)" in made["rebuild"]
    assert "secret" not in made["rebuild"]


@pytest.mark.parametrize("missing", ["params.yaml", "data/report/index.html"])
def test_what_is_not_there_is_not_named(
    made: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr(publish, "open_client", lambda uri: Store())
    (folder / missing).unlink()
    publish.publish(folder, {"one": "ran"})
    assert "MLflow" not in made["rebuild"]
    assert ("report" in made["rebuild"]) == (missing == "params.yaml")


def test_a_store_that_is_away_fails_no_rebuild(
    made: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(uri: str) -> Store:
        raise RegistryError("The MLflow store cannot be reached.", got=uri)

    assert issubclass(RegistryError, PipelineError)
    monkeypatch.setattr(publish, "open_client", away)
    publish.publish(folder, {"one": "ran"})
    assert "MLflow" not in made["rebuild"]
    assert "cannot be reached" in caplog.text
