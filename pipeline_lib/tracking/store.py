"""Where MLflow keeps runs and models, and the one door through which MLflow is imported."""

import fcntl
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit, urlunsplit

from pipeline_lib.core.errors import PipelineError
from pipeline_lib.params.machine import load_machine

LOCK_WAIT_S = 120.0  # another process sends a large model under it, or makes a new database's tables
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
DEFAULTS = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",  # seconds; MLflow's own are 120 and 7 retries, with pauses that double
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}


class RegistryError(PipelineError):
    """The MLflow store cannot be reached, or does not hold what was asked for."""


def repository() -> Path:
    """The repository in which DVC runs us, else the working directory.

    DVC's queue runs an experiment in a copy of the repository that it deletes at the end; DVC_ROOT names the original.
    """
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI if it is set, else machine.yaml's tracking.uri, else mlflow.db of the repository.

    Raises:
        ParamsError: machine.yaml is wrong.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI") or load_machine().tracking.uri
    return given or database_uri(repository() / "mlflow.db")


def database_uri(file: Path) -> str:
    """The sqlite URI of a file, which SQLAlchemy opens under just that name: it unquotes nothing, but ends the path at a `?`.

    A path with a `?` goes in the form that sqlite itself unquotes; it names the driver, for MLflow would make a folder `file:`.
    """
    if "?" in str(file):
        return f"sqlite+pysqlite:///file:{quote(str(file))}?uri=true"
    return f"sqlite:///{file}"


def shown_uri(uri: str) -> str:
    """The URI without user and password, for logs and pages."""
    parts = urlsplit(uri)
    if parts.username is None and parts.password is None:
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def database_file(uri: str) -> Path | None:
    """The file of a sqlite URI, as an absolute path; None for any other."""
    scheme, found, rest = uri.partition(":///")
    if not found or scheme.partition("+")[0] != "sqlite":
        return None
    path, _, query = rest.partition("?")
    is_quoted = parse_qs(query).get("uri") == ["true"]
    return Path(unquote(path.removeprefix("file:")) if is_quoted else path).absolute()


def is_store(uri: str) -> bool:
    """Whether there is a store to ask: a server, which may be away, or a database that exists."""
    database = database_file(uri)
    return database is None or database.is_file()


def existing_store(given: str | None) -> str:
    """The URI that is given, else tracking_uri()'s.

    Raises:
        RegistryError: it is of a sqlite file that does not exist, which MLflow would create empty.
    """
    uri = given or tracking_uri()
    if not is_store(uri):
        raise RegistryError(
            "There is no MLflow store here.",
            got=database_file(uri),
            allowed="--tracking-uri or MLFLOW_TRACKING_URI, or a folder in which `make repro` was run",
        )
    return uri


def artifact_folder(uri: str) -> Path | None:
    """`mlartifacts` beside a sqlite database; None for a server, which knows its own place."""
    database = database_file(uri)
    return None if database is None else database.parent / "mlartifacts"


def mlflow_environment() -> dict[str, str]:
    """This process's, in which MLflow is quiet and waits for a server half a minute, unless the variables say otherwise."""
    return {**DEFAULTS, **os.environ, **QUIET}


def import_mlflow() -> ModuleType:
    """Import MLflow (1.5 to 4 s) with its telemetry off, its chatter silenced and its patience with a server bounded."""
    os.environ.update(mlflow_environment())
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return mlflow  # type: ignore[no-any-return]


def open_client(uri: str | None = None) -> Any:
    """An MlflowClient on the store; the first one on a new sqlite database creates its tables (about 5 s).

    Raises:
        RegistryError: the store cannot be reached or opened; a server that is away is found out within seconds.
    """
    from pipeline_lib.tracking.reach import find_store

    uri = uri or tracking_uri()
    find_store(uri)
    mlflow = import_mlflow()
    with store_lock(uri), registry_errors("The MLflow store cannot be opened.", uri):
        # under the lock: the client creates missing tables at once; two stages that start together must not both
        client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client


@contextmanager
def registry_errors(what: str, uri: str) -> Iterator[None]:
    """Whatever MLflow, its database's driver or its artifact store raises in the block, as a RegistryError.

    Of any class: each driver and each object store has its own, and what records a stage must not decide whether it ends.
    """
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:
        text = f"{type(error).__name__}: {error}".replace(uri, shown_uri(uri))
        raise RegistryError(what, got=text, where=shown_uri(uri)) from error


@contextmanager
def store_lock(uri: str) -> Iterator[None]:
    """Hold this machine's lock of one store; freed by the kernel if the process dies.

    Raises:
        RegistryError: another process holds it for longer than LOCK_WAIT_S.
    """
    name = hashlib.sha256(uri.encode()).hexdigest()[:16]
    with file_lock(Path(tempfile.gettempdir(), f"face-verifier-{os.getuid()}-{name}.lock"), LOCK_WAIT_S) as is_held:
        if not is_held:
            raise RegistryError("Another process keeps the MLflow store to itself.", where=shown_uri(uri))
        yield


@contextmanager
def file_lock(path: Path, wait_s: float) -> Iterator[bool]:
    """Yield whether this process holds the lock of `path`, for which it waits `wait_s` at most."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        yield _take(handle, time.monotonic() + wait_s)
    finally:
        os.close(handle)


def _take(handle: int, until: float) -> bool:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.05)
        else:
            return True
