"""The server around the application: its socket, its patience, and its one line on where it is."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.serve.guard import LOOPBACK_NAMES, is_loopback
from pipeline_lib.delivery.serve.limits import HEAD_S

MIN_TOKEN = 16  # characters
MAX_CONNECTIONS = 128
ANY_ADDRESS = ("0.0.0.0", "::")
STOP_WITHIN_S = 5


class Impatient(H11Protocol):
    """uvicorn's, but a connection that has sent no whole head within HEAD_S is closed."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock."""
        super().connection_made(transport)
        self.loop.call_later(HEAD_S, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if self.cycle is None and self.transport is not None:
            self.transport.close()


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one. Raises DataError where it cannot."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=MAX_CONNECTIONS)
    except (OSError, OverflowError) as error:
        raise DataError("The server cannot listen there.", got=error, where=f"--host {host} --port {port}") from error


def read_token(host: str, file: Path | None) -> str | None:
    """The token of a file; None where there is none and none is needed.

    Raises:
        DataError: the host is not the loopback address and no file is given, or the token is too short.
    """
    if file is None:
        if is_loopback(host):
            return None
        problem = (
            "Whoever reaches this machine could ask: bound to anything but the loopback address, a token is needed."
        )
        raise DataError(problem, got=host, allowed="127.0.0.1, or --token-file", where="--host")
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("The token cannot be read.", got=error, where=file) from error
    if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable():
        got, allowed = f"{len(token)} characters", f"at least {MIN_TOKEN}, of ASCII, as from `openssl rand -hex 16`"
        raise DataError("The token is too short, or holds what no header can.", got=got, allowed=allowed, where=file)
    return token


def answered_names(host: str, more: list[str]) -> frozenset[str]:
    """The names in a Host header that are answered."""
    own = () if host in ANY_ADDRESS else (host.lower(),)
    return frozenset([*LOOPBACK_NAMES, *own, *(name.lower() for name in more)])


def make_server(app: FastAPI) -> uvicorn.Server:
    """uvicorn around the application; its `run` takes the socket and serves until Ctrl-C, what is computed then is waited for."""
    config: dict[str, Any] = {
        "http": Impatient,
        "ws": "none",
        "access_log": False,  # the guard writes one that holds no more than it must
        "log_level": "warning",
        "server_header": False,
        "proxy_headers": False,
        "limit_concurrency": MAX_CONNECTIONS,
        "timeout_graceful_shutdown": STOP_WITHIN_S,
    }
    return uvicorn.Server(uvicorn.Config(app, **config))
