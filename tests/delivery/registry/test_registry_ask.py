"""A store that does not answer, asked for a verdict: said so within seconds, and not after MLflow's minutes."""

import socket
import time
from pathlib import Path

import pytest

from pipeline_lib.core.errors import PipelineError
from pipeline_lib.delivery.registry.ask import ask
from pipeline_lib.tracking.store import mlflow_environment

A_FEW_SECONDS = 10.0  # 3 s to find out; the rest is a busy machine's


@pytest.mark.parametrize("listens", [False, True])
def test_a_server_that_is_away(listens: bool) -> None:
    """Nobody at its port, or somebody who takes the connection and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listens:
            server.listen()
        uri, started = f"http://user:secret@127.0.0.1:{server.getsockname()[1]}", time.monotonic()
        with pytest.raises(PipelineError, match="cannot be reached") as caught:
            ask("models:/face-verifier@champion", uri, Path("a.jpg"), Path("b.jpg"))
    assert time.monotonic() - started < A_FEW_SECONDS
    assert "secret" not in str(caught.value)


def test_the_patience_of_mlflow_is_bounded_and_a_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"):
        monkeypatch.delenv(name, raising=False)
    bounded = mlflow_environment()
    assert (bounded["MLFLOW_HTTP_REQUEST_TIMEOUT"], bounded["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) == ("30", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7")
    assert mlflow_environment()["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "7"
