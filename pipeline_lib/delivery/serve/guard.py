"""What every request passes: host, origin and token are looked at, answers get their headers, and one line goes to the log."""

import asyncio
import base64
import binascii
import hmac
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response

from pipeline_lib.delivery.serve.limits import DRAIN_BYTES, DRAIN_S, Refused

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
OPEN = "/healthz"  # a monitor has no token
PATHS = ("/", "/verify", "/identify", "/docs", "/openapi.json", OPEN)
HEADERS = {
    "Cache-Control": "no-store",
    "Connection": "close",  # a connection is one request, so that none is held open
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Other sites learn nothing; a browser that may say nothing at all would call the origin of our own form "null".
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
log = logging.getLogger("face_verifier")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what is bound there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """Wraps the application.

    Args:
        app: what answers.
        hosts: names in a Host header that are answered: a page of another name that its owner points here must get nothing.
        token: who has it is answered; None: everybody is.
        refuse: a refusal as a response.
    """

    def __init__(
        self, app: App, hosts: frozenset[str], token: str | None, refuse: Callable[[Request, Refused], Response]
    ) -> None:
        self._app, self._hosts, self._token, self._refuse = app, hosts, token, refuse

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status, body_ended = time.perf_counter(), 0, False
        headers = Headers(scope=scope)

        async def watched() -> Message:
            nonlocal body_ended
            message = await receive()
            body_ended = body_ended or not message.get("more_body", False)
            return message

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if not body_ended and "expect" not in headers:
                    await _drain(watched)
                ours = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    ours.setdefault(name, value)
            await send(message)

        try:
            self._check(scope["method"], scope["path"], headers)
        except Refused as error:
            await self._refuse(Request(scope), error)(scope, watched, answer)
        else:
            await self._app(scope, watched, answer)
        finally:
            # Neither a query nor a path of nobody's: somebody may have put a photograph's name there.
            path = scope["path"] if scope["path"] in PATHS else "(another path)"
            taken = 1000 * (time.perf_counter() - begun)
            log.info("%s %s %s %.0f ms", scope["method"], path, status or "no answer", taken)

    def _check(self, method: str, path: str, headers: Headers) -> None:
        host = headers.get("host", "")
        if _name(host) not in self._hosts:
            allowed = "--allow-host names more"
            raise Refused(421, "This server does not answer to that name.", got=host[:80], allowed=allowed)
        origin = headers.get("origin")
        if method not in ("GET", "HEAD") and origin is not None and urlsplit(origin).netloc != host:
            raise Refused(403, "A page of another site may not ask here.", got=origin[:80])
        if self._token is not None and path != OPEN and not _has(self._token, headers.get("authorization", "")):
            challenge = {"WWW-Authenticate": 'Basic realm="face-verifier", charset="UTF-8"'}
            allowed = "Authorization: Bearer TOKEN, or the token as a password"
            raise Refused(401, "A token is needed.", allowed=allowed, headers=challenge)


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _has(token: str, authorization: str) -> bool:
    kind, _, given = authorization.partition(" ")
    if kind.lower() == "basic":
        try:
            given = base64.b64decode(given.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif kind.lower() != "bearer":
        return False
    return hmac.compare_digest(given.strip().encode(), token.encode())


async def _drain(receive: Receive) -> None:
    """Read what is left of a body and forget it: who still sends when the connection is closed sees no answer."""
    num_bytes = 0
    try:
        async with asyncio.timeout(DRAIN_S):
            while num_bytes < DRAIN_BYTES:
                message = await receive()
                num_bytes += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return
