"""A server over a tiny verifier, in this process or on a socket, and photographs of people who do not exist."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI

from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.data.synthetic.identity import sample_identity
from pipeline_lib.data.synthetic.render import render_photo
from pipeline_lib.delivery.identify.model import Opened
from pipeline_lib.delivery.serve import warm
from pipeline_lib.delivery.serve.app import make_app
from pipeline_lib.delivery.serve.guard import LOOPBACK_NAMES
from pipeline_lib.delivery.serve.places import Places
from pipeline_lib.delivery.serve.server import bind, make_server

SIZE_PX = 250
PAGE = {"Accept": "text/html"}


@cache
def photograph(*people: int, size_px: int = SIZE_PX) -> bytes:
    """A PNG of some people, told by their numbers; the same every time."""
    rng = np.random.default_rng([7, *people])
    faces = [sample_identity(np.random.default_rng(person)) for person in people]
    return encode_png(render_photo(faces, rng, size_px)[0])


@dataclass
class Served:
    """An application, what it is made of, and where it listens."""

    app: FastAPI
    warm: warm.Warm
    places: Places
    url: str = ""


def make(
    monkeypatch: pytest.MonkeyPatch, opened: Opened, gallery: Path | None = None, token: str | None = None
) -> Served:
    """The application over a verifier that stands in for the package's own."""
    monkeypatch.setattr(warm, "open_shipped", lambda: opened)
    monkeypatch.setattr(warm, "is_store", lambda uri: False)
    model, places = warm.Warm(None, None, lambda opened: None), Places()
    return Served(make_app(model, places, gallery, frozenset(LOOPBACK_NAMES), token), model, places)


@contextmanager
def listening(served: Served) -> Iterator[str]:
    """A real server in a thread; yields its URL."""
    with bind("127.0.0.1", 0) as socket:
        server = make_server(served.app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
        thread.start()
        until(lambda: server.started)
        try:
            yield f"http://127.0.0.1:{socket.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


def until(condition, seconds: float = 30.0) -> None:
    """Wait for something that comes soon."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)
