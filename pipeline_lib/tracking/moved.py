"""A store that was renamed or copied: MLflow keeps absolute places of artifacts, which must follow the database."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.request import url2pathname

from pipeline_lib.tracking.store import RegistryError, artifact_folder, database_file, shown_uri, store_lock

log = logging.getLogger("face_verifier")

WAIT_S = 30.0  # for another process that writes
EXPERIMENTS = ("experiments", "artifact_location")
PLACES = (
    EXPERIMENTS,
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)


def follow_folder(uri: str) -> None:
    """Let a sqlite store's runs and models lie in `mlartifacts` beside it, if it says that they lie beside its old place.

    Its old place: a folder that is gone, or that still has such a database, and the one here is a copy of it. Places that
    somebody chose otherwise stay. Nothing is done to other stores, and nothing is copied.

    Raises:
        RegistryError: the database was moved and cannot be written, or is none.
    """
    database, here = database_file(uri), artifact_folder(uri)
    if database is None or here is None or not database.is_file():
        return
    try:
        with closing(sqlite3.connect(database, timeout=WAIT_S)) as connection:
            if not any(_old_places(connection, database, here)):
                return
            with store_lock(uri), connection:
                for place, old in list(_old_places(connection, database, here)):
                    _rewrite(connection, place, here.as_uri())
                    log.warning("The MLflow store came here from %s; its artifacts are those in %s.", old.parent, here)
                    if not here.exists():
                        log.warning("Artifacts of earlier runs are missing: copy %s to %s.", old, here)
    except sqlite3.Error as error:
        what = "The MLflow store cannot be read, or was moved here and must be writable once for its artifacts to be found."
        raise RegistryError(what, got=error, where=shown_uri(uri)) from None


def _old_places(connection: sqlite3.Connection, database: Path, here: Path) -> Iterator[tuple[str, Path]]:
    """The experiments' artifact locations that are `mlartifacts` of another folder in which this database lay, and the paths."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if EXPERIMENTS[0] not in tables:  # new
        return
    for (place,) in connection.execute("SELECT DISTINCT artifact_location FROM experiments"):
        old = _local_path(place or "")
        if old is None or old.name != here.name or old.resolve() == here.resolve():
            continue
        if not old.parent.exists() or (old.parent / database.name).exists():
            yield place, old


def _local_path(place: str) -> Path | None:
    """Of a file URI or a path, unquoted as MLflow unquotes both; None elsewhere."""
    path = place.removeprefix("file://")
    return None if ":" in path.partition("/")[0] else Path(url2pathname(path))


def _rewrite(connection: sqlite3.Connection, old: str, new: str) -> None:
    for table, column in PLACES:
        connection.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR substr({column}, 1, ?) = ?",
            (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
        )
