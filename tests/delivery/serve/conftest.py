"""What the tests of serve share."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from served import make
from tiny_verifier import write_tiny

from pipeline_lib.delivery.identify.model import Opened
from pipeline_lib.delivery.verifier.verifier import Verifier


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """An additive verifier that refuses photographs of several faces."""
    return Opened(
        Verifier.load(write_tiny(tmp_path_factory.mktemp("tiny"))), "tiny, version 1", "A note.", "digest", None
    )


@pytest.fixture(scope="module")
def client(tiny: Opened) -> Iterator[TestClient]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        served = make(monkeypatch, tiny)
        with TestClient(served.app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False) as client:
            yield client
