"""A store in whatever folder: one with odd characters in its name, and one that was renamed or copied."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from in_mlflow import sent, stage_runs
from sqlalchemy import create_engine, make_url

from pipeline_lib.tracking.moved import follow_folder
from pipeline_lib.tracking.send import send_all
from pipeline_lib.tracking.stage_run import stage_run
from pipeline_lib.tracking.store import RegistryError, database_file, database_uri, open_client, tracking_uri

ODD = ["my%20faces", "what?", "a b", "50%", "it's", "c#", "q&a=1", "ümläut", "semi;colon", "?uri=true"]


def record() -> Any:
    Path("note.txt").write_text("x")
    with stage_run("align", {}, {}) as run:
        run.log_artifact(Path("note.txt"))
    return run


def artifacts(client: Any, found: Any) -> list[str]:
    from mlflow.tracking._tracking_service import utils

    utils._artifact_repos_cache.clear()  # another process has none
    return [item.path for item in client.list_artifacts(found.info.run_id)]


def outside(folder: Path) -> set[Path]:
    """All files that lie in its parent's folders, and not in itself."""
    return {path for path in folder.parent.rglob("*") if path != folder and folder not in path.parents}


@pytest.mark.parametrize("name", ODD)
def test_uri_of_a_file_is_read_back_and_is_what_sqlalchemy_opens(tmp_path: Path, name: str) -> None:
    file = tmp_path / name / "mlflow.db"
    file.parent.mkdir()
    assert database_file(database_uri(file)) == file
    with create_engine(make_url(database_uri(file))).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x)")
    assert file.is_file()
    assert not outside(file.parent)


def test_uris_of_others_are_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert database_uri(Path("/srv/x/mlflow.db")) == "sqlite:////srv/x/mlflow.db"
    assert database_file("sqlite:////srv/x/mlflow.db?timeout=5") == Path("/srv/x/mlflow.db")
    assert database_file("sqlite:///mlflow.db") == tmp_path / "mlflow.db"
    assert database_file("sqlite+pysqlite:////srv/my%20x/mlflow.db") == Path("/srv/my%20x/mlflow.db")
    for uri in ("http://host:5000", "postgresql://host/db", "file:///srv/mlruns", "databricks"):
        assert database_file(uri) is None


@pytest.mark.parametrize("name", ["my%20faces", "what?"])
def test_checkout_with_an_odd_name_writes_into_itself(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = workplace / "inside" / name
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    client, found, _ = sent(record())
    assert artifacts(client, found) == ["note.txt"]
    assert len(list((folder / "mlartifacts").rglob("note.txt"))) == 1
    assert (folder / "mlflow.db").is_file()
    assert not outside(folder)


@pytest.mark.parametrize("move", [shutil.move, shutil.copytree])
def test_store_that_was_renamed_or_copied_follows(
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
    move: Callable[[Path, Path], object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Earlier runs are read from, and later ones written to, the new folder; a copied store's old one stays as it is."""
    old, new = workplace / "old", workplace / "new%20one"
    old.mkdir()
    monkeypatch.chdir(old)
    client, first, _ = sent(record())
    model = client.create_logged_model(first.info.experiment_id, "network")
    client.create_registered_model("m")
    client.create_model_version("m", f"{first.info.artifact_uri}/model", first.info.run_id)
    monkeypatch.chdir(workplace)
    move(old, new)
    monkeypatch.chdir(new)
    before = outside(new)
    client, second, _ = sent(record())
    assert [artifacts(client, client.get_run(run.info.run_id)) for run in (first, second)] == [["note.txt"]] * 2
    assert len(list((new / "mlartifacts").rglob("note.txt"))) == 2
    assert outside(new) == before
    place = (new / "mlartifacts").as_uri()
    assert client.get_experiment(first.info.experiment_id).artifact_location == place
    assert client.get_logged_model(model.model_id).artifact_location.startswith(f"{place}/")
    assert client.get_model_version("m", "1").source.startswith(f"{place}/")
    assert f"came here from {old}" in caplog.text
    caplog.clear()
    follow_folder(tracking_uri())
    assert not caplog.text


def test_store_that_was_copied_without_its_artifacts_says_so(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sent(record())
    new = workplace / "new"
    new.mkdir()
    shutil.copy("mlflow.db", new)
    monkeypatch.chdir(new)
    assert send_all() == 0  # nothing waits, and yet
    assert f"copy {workplace}/mlartifacts to {new}/mlartifacts" in caplog.text
    client, found, _ = sent(record())
    assert artifacts(client, found) == ["note.txt"]


def test_store_of_the_time_of_plain_paths_follows(workplace: Path) -> None:
    client, found, _ = sent(record())
    with closing(sqlite3.connect("mlflow.db")) as connection, connection:
        connection.execute("UPDATE experiments SET artifact_location = '/no/such/folder/mlartifacts'")
        connection.execute("UPDATE runs SET artifact_uri = '/no/such/folder/mlartifacts/' || run_uuid || '/artifacts'")
    client = open_client()
    assert artifacts(client, found) == ["note.txt"]


@pytest.mark.parametrize("place", ["s3://bucket/mlartifacts", "mlflow-artifacts:/mlartifacts", "elsewhere", "other"])
def test_places_that_somebody_chose_stay(workplace: Path, place: str) -> None:
    """An object store, another folder of any name, one that is there and has no such database."""
    chosen = workplace / place / ("mlartifacts" if place == "other" else "")
    if "/" not in place:
        chosen.mkdir(parents=True)
        place = str(chosen)
    experiment = open_client().create_experiment("x", artifact_location=place)
    follow_folder(tracking_uri())
    assert open_client().get_experiment(experiment).artifact_location == place


def test_same_store_under_a_link_stays(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, found, _ = sent(record())
    (workplace / "link").symlink_to(workplace)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workplace}/link/mlflow.db")
    assert open_client().get_run(found.info.run_id).info.artifact_uri == found.info.artifact_uri


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_moved_store_that_cannot_be_written_says_what_to_do(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent(record())
    new = workplace / "new"
    shutil.copytree(workplace, new, ignore=shutil.ignore_patterns("new"))
    (new / "mlflow.db").chmod(0o400)
    monkeypatch.chdir(new)
    with pytest.raises(RegistryError, match="must be writable once"):
        follow_folder(tracking_uri())


def test_no_store_of_mlflow_is_a_clear_error(workplace: Path) -> None:
    Path("mlflow.db").write_text("no database, but long enough to be looked into " * 20)
    record()
    with pytest.raises(RegistryError, match=r"cannot be (read|reached)"):
        send_all()
    assert not Path("mlartifacts").exists()


def test_new_store_is_no_moved_one(workplace: Path) -> None:
    Path("mlflow.db").unlink()
    follow_folder(tracking_uri())
    assert not Path("mlflow.db").exists()
    sent(record())
    assert len(stage_runs(open_client())) == 1
