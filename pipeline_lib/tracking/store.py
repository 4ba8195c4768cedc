"""Where MLflow keeps runs and models, and the one door through which MLflow is imported."""

import fcntl
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pipeline_lib.core.errors import PipelineError


class RegistryError(PipelineError):
    """The MLflow store cannot be reached, or does not hold what was asked for."""


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI if it is set, else mlflow.db of the repository in which DVC runs us, else of the working directory.

    DVC's queue runs an experiment in a copy of the repository that it deletes at the end; DVC_ROOT names the original.
    """
    folder = Path(os.environ.get("DVC_ROOT") or Path.cwd())
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder / 'mlflow.db'}"


def shown_uri(uri: str) -> str:
    """The URI without user and password, for logs and pages."""
    parts = urlsplit(uri)
    if parts.username is None and parts.password is None:
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def artifact_folder(uri: str) -> str | None:
    """`mlartifacts` beside a sqlite database as an absolute path; None for a server, which knows its own place."""
    if not uri.startswith("sqlite:///"):
        return None
    database = Path(uri.removeprefix("sqlite:///").partition("?")[0])
    return str(database.absolute().parent / "mlartifacts")


def import_mlflow() -> ModuleType:
    """Import MLflow (1.5 to 4 s) with its telemetry off and its chatter silenced."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return mlflow  # type: ignore[no-any-return]


def open_client(uri: str | None = None) -> Any:
    """An MlflowClient on the store; the first one on a new sqlite database creates its tables (about 5 s).

    Raises:
        RegistryError: the store cannot be reached or opened.
    """
    mlflow = import_mlflow()
    uri = uri or tracking_uri()
    try:
        with store_lock(uri):  # the client creates missing tables at once; two stages that start together must not both
            client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
            client.search_experiments(max_results=1)
    except (mlflow.MlflowException, OSError, ImportError) as error:
        raise RegistryError("The MLflow store cannot be opened.", got=error, where=shown_uri(uri)) from error
    return client


@contextmanager
def store_lock(uri: str) -> Iterator[None]:
    """Hold this machine's lock of one store; freed by the kernel if the process dies."""
    name = hashlib.sha256(uri.encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir(), f"face-verifier-{os.getuid()}-{name}.lock")
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
