"""A model that is promoted meanwhile, with a registry that is made up and with a real one."""

import logging
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient
from served import photograph, until
from tiny_verifier import register_tiny

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.identify.model import Opened
from pipeline_lib.delivery.registry.promote import promote
from pipeline_lib.delivery.serve import warm
from pipeline_lib.delivery.serve.app import make_app
from pipeline_lib.delivery.serve.places import Places
from pipeline_lib.tracking.store import RegistryError, open_client

PAIR = {"image_a": photograph(1), "image_b": photograph(2)}


class Registry:
    """One champion, and what was opened and closed."""

    def __init__(self, tiny: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
        self.version: int | None = 1
        self.broken: set[int] = set()
        self.is_open: list[str] = []
        self._tiny = tiny
        monkeypatch.setattr(warm, "CHECK_S", 0.01)
        monkeypatch.setattr(warm, "existing_store", lambda uri: "sqlite:///made-up.db")
        monkeypatch.setattr(warm, "open_client", lambda uri: self)
        monkeypatch.setattr(warm, "version_of", self._version_of)
        monkeypatch.setattr(warm, "open_registered", self._open)

    def _version_of(self, client: object, name: str, alias: str) -> SimpleNamespace | None:
        assert (client, name, alias) == (self, "face-verifier", "champion")
        return None if self.version is None else SimpleNamespace(version=self.version)

    @contextmanager
    def _open(self, uri: str, store: str):
        if int(uri.rpartition("/")[2]) in self.broken:
            raise DataError("The model is of another version.")
        self.is_open.append(uri)
        try:
            yield replace(self._tiny, name=uri)
        finally:
            self.is_open.remove(uri)


def test_a_promoted_model_answers_from_then_on(
    tiny: Opened, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    registry, prepared = Registry(tiny, monkeypatch), list[str]()
    model = warm.Warm(None, "made-up", lambda opened: prepared.append(opened.name))
    with (
        TestClient(
            make_app(model, Places(), None, frozenset(["localhost"]), None), base_url="http://localhost"
        ) as client,
        caplog.at_level(logging.INFO, logger="face_verifier"),
    ):
        assert client.post("/verify", files=PAIR).json()["model"] == "models:/face-verifier/1"
        registry.version = 2
        until(lambda: model.opened.name == "models:/face-verifier/2")
        assert client.post("/verify", files=PAIR).json()["model"] == "models:/face-verifier/2"
        until(lambda: registry.is_open == ["models:/face-verifier/2"])
        assert prepared == ["models:/face-verifier/1", "models:/face-verifier/2"]
        registry.broken, registry.version = {3}, 3
        until(lambda: "another version" in model.trouble)
        assert client.post("/verify", files=PAIR).json()["model"] == "models:/face-verifier/2"
        assert "another version" in client.get("/healthz").json()["trouble"]
        registry.version = None
        until(lambda: "There is no such model." in model.trouble)
        registry.version = 2
        until(lambda: not model.trouble)
    assert registry.is_open == []
    told = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 2  # each trouble once, however often it was looked


def test_a_version_is_asked_as_it_is(tiny: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(tiny, monkeypatch)
    registry.version = None
    model = warm.Warm("models:/face-verifier/7", None, lambda opened: None)
    assert model.opened.name == "models:/face-verifier/7"
    model.close()
    with pytest.raises(RegistryError, match="There is no such model"):
        warm.Warm(None, "made-up", lambda opened: None)


def test_of_a_real_registry(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes seconds: a model is logged, and loaded as two versions."""
    monkeypatch.setattr(warm, "CHECK_S", 0.1)
    register_tiny(workplace / "one")
    client = open_client()
    client.create_model_version("face-verifier", client.get_model_version("face-verifier", 1).source)
    model = warm.Warm(None, None, lambda opened: None)
    with TestClient(
        make_app(model, Places(), None, frozenset(["localhost"]), None), base_url="http://localhost"
    ) as client:
        first = client.post("/verify", files=PAIR).json()
        promote(open_client(), "face-verifier", 2)
        until(lambda: model.opened.name == "models:/face-verifier/2")
        second = client.post("/verify", files=PAIR).json()
    assert (first["model"], second["model"]) == ("models:/face-verifier/1", "models:/face-verifier/2")
    assert first["similarity"] == pytest.approx(second["similarity"])
