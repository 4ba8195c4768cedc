"""Fixtures shared by all tests."""

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from pipeline_lib.tracking import stage_run
from pipeline_lib.tracking.store import open_client
from tests.data.s3_server import ENVIRONMENT, serve_s3

REPOSITORY = Path(__file__).parent.parent
BUCKETS = itertools.count()
# An example may take as long as a busy machine makes it; pytest's own limit ends what hangs.
settings.register_profile("any speed", deadline=None)
settings.load_profile("any speed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first, so that no process is left alone with one of them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path.parent.name != "pipeline", item.path not in slow))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root."""
    return REPOSITORY


@pytest.fixture(scope="session")
def faces_dir() -> Path:
    """The folder of real photographs; .ci/run sets FACES_DIR and fails where the folder is missing."""
    folder = os.environ.get("FACES_DIR")
    if not folder:
        pytest.skip("FACES_DIR is not set")
    assert Path(folder, "SOURCES.md").is_file(), f"FACES_DIR={folder} holds no SOURCES.md"
    return Path(folder)


@pytest.fixture(autouse=True)
def no_store_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """mlflow.set_tracking_uri also sets the variable, for whatever runs in this process later."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sqlite store with its tables and nothing in them."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    open_client(f"sqlite:///{path}")
    return path


@pytest.fixture
def workplace(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with its own store, as a stage finds it; who wants to see runs in it sends them: send_all()."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr(stage_run, "send_in_background", lambda uri, patient=False: None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The server's address; a test takes s3_bucket."""
    with serve_s3() as endpoint:
        yield endpoint


@pytest.fixture
def s3_bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty bucket, with the environment in which s3fs finds it."""
    from s3fs import S3FileSystem

    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": s3_endpoint}.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    bucket = f"faces-{next(BUCKETS)}"
    S3FileSystem().mkdir(bucket)
    yield f"s3://{bucket}"
    S3FileSystem.clear_instance_cache()
