"""A request's body as fields, read into memory alone: nothing that somebody sends is written to a disk."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from pipeline_lib.data.photos.photo import PhotoError
from pipeline_lib.delivery.serve.limits import (
    BODY_S,
    MAX_BODY_BYTES,
    MAX_FIELDS,
    MAX_PHOTOGRAPH_BYTES,
    Refused,
    WentAway,
    too_large,
)
from pipeline_lib.delivery.verifier.pictures_in import read_picture

MAX_PUNCTUATION = 1000  # brackets and commas of a JSON body
MAX_NAME = 100  # characters of a photograph's name that are shown
TYPES = "application/json or multipart/form-data"


@dataclass(frozen=True)
class Photograph:
    """An encoded photograph and what its sender calls it."""

    data: bytes
    name: str


class InMemoryParser(MultiPartParser):
    """Starlette's, whose files stay in memory: a body is never as long as what it spools to disk."""

    spool_max_size = MAX_BODY_BYTES + 1


async def read_fields(request: Request) -> dict[str, object]:
    """The fields of a JSON object, or of a form: text, numbers, and UploadFile of a form's files.

    Raises:
        Refused: too long (413), too slow (408), another type (415), not what its type says (400), a name twice or too many (422).
        WentAway: the client did.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/json", "multipart/form-data"):
        raise Refused(415, "The body is of a type that is not read.", got=kind or "none", allowed=TYPES)
    body = await _read(request)
    return _from_json(body) if kind == "application/json" else await _from_form(request, body)


def take_photograph(fields: dict[str, object], name: str, max_pixels: int) -> Photograph:
    """Take a photograph out of the fields: a file, base64 text, or a data: URL.

    Raises:
        Refused: it is missing or no picture (422), or too long (413).
    """
    value = fields.pop(name, None)
    called = _short(value.filename or name) if isinstance(value, UploadFile) else name
    data = value.file.read() if isinstance(value, UploadFile) else value
    if data in (None, b"", ""):
        raise Refused(422, f"{name} is missing.", allowed="a file, or its bytes as base64")
    try:
        read = read_picture(data, max_pixels)
    except PhotoError as error:
        raise Refused(422, f"{name}: {error.reason.replace('_', ' ')} ({error.detail})") from error
    if len(read) > MAX_PHOTOGRAPH_BYTES:
        raise too_large(f"{name} is too large.", len(read), MAX_PHOTOGRAPH_BYTES)
    return Photograph(read, called)


async def _read(request: Request) -> bytes:
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > MAX_BODY_BYTES:
        raise too_large("The body is too large.", int(stated), MAX_BODY_BYTES)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise too_large("The body is too large.", None, MAX_BODY_BYTES)
    except TimeoutError:
        raise Refused(408, "The body came too slowly.", allowed=f"{BODY_S:.0f} s") from None
    except ClientDisconnect:
        raise WentAway from None
    return bytes(body)


def _from_json(body: bytes) -> dict[str, object]:
    # Photographs as base64 have none of these; millions of empty lists would take twenty times the body's memory.
    if sum(map(body.count, (b"[", b"{", b","))) > MAX_PUNCTUATION:
        raise Refused(400, "The body is no flat JSON object.", got="a long or nested one")
    try:
        found = json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:  # no text of it in the message: it may be a photograph
        raise Refused(400, "The body is no JSON.", got=type(error).__name__) from None
    if not isinstance(found, dict):
        raise Refused(400, "The body is no JSON object.", got=type(found).__name__)
    return found


async def _from_form(request: Request, body: bytes) -> dict[str, object]:
    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    limits = {"max_files": 2, "max_fields": MAX_FIELDS, "max_part_size": MAX_BODY_BYTES}
    try:
        form = await InMemoryParser(request.headers, whole(), **limits).parse()
    except MultiPartException as error:
        raise Refused(400, "The form cannot be read.", got=error.message, allowed="two files at most") from error
    # A form sends an empty text for whatever was left out.
    return {name: value for name, value in _once(form.multi_items()).items() if value != ""}


def _once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, value in pairs:
        if name in fields:
            raise Refused(422, "A field comes twice.", got=_short(name))
        fields[name] = value
    return fields


def _short(name: str) -> str:
    """The last part of a path, without what cannot be printed."""
    last = PurePosixPath(name.replace("\\", "/")).name
    shown = "".join(character for character in last if character.isprintable())
    return shown if len(shown) <= MAX_NAME else f"{shown[: MAX_NAME - 1]}…"


def named(photograph: Photograph, name: str | None) -> Photograph:
    """The photograph under the name that a form gave it before."""
    return Photograph(photograph.data, _short(name)) if name else photograph
