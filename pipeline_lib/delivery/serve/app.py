"""The application: a form and an API over one verifier that is kept warm."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from pipeline_lib.core.errors import PipelineError
from pipeline_lib.delivery.identify.page import as_page as search_page
from pipeline_lib.delivery.serve import pages
from pipeline_lib.delivery.serve.asked import IdentifyAsked, VerifyAsked, read_asked
from pipeline_lib.delivery.serve.body import named, read_fields, take_photograph
from pipeline_lib.delivery.serve.compared import as_json, compare, identify, see, told
from pipeline_lib.delivery.serve.described import described, operations
from pipeline_lib.delivery.serve.guard import Guard
from pipeline_lib.delivery.serve.limits import Refused, WentAway
from pipeline_lib.delivery.serve.places import Places
from pipeline_lib.delivery.serve.warm import Warm
from pipeline_lib.delivery.verdict.page import as_page as verdict_page
from pipeline_lib.delivery.verdict.told import verdict_of

PAIR, ONE = ("image_a", "image_b"), ("image",)
# A verdict's page brings its own policy, which lets its script run; this is what a policy within a page cannot say.
AROUND_A_PAGE = "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
CLOSED_REQUEST = 499  # nginx's word for it; nobody reads this answer, but the log does


def make_app(warm: Warm, places: Places, gallery: Path | None, hosts: frozenset[str], token: str | None) -> FastAPI:
    """The application.

    Args:
        warm: the model.
        places: of those that are served at once.
        gallery: a folder to look in; None: /identify is refused.
        hosts, token: see Guard.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(warm.watch(places))
        yield
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        places.close()
        warm.close()

    app = FastAPI(title="face-verifier", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.add_middleware(Guard, hosts=hosts, token=token, refuse=refused)
    for kind in (PipelineError, WentAway, HTTPException, Exception):
        app.add_exception_handler(kind, _refused)

    @app.get("/", include_in_schema=False)
    async def form() -> Response:
        return _page(pages.form_page(warm.opened, gallery))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return _page(pages.api_page(operations(app.openapi())))

    @app.get("/healthz", summary="Whether the server answers, with which model, and how many requests it has.")
    async def healthz() -> dict[str, Any]:
        return {"status": "ok", "model": warm.opened.name, "requests": places.taken, "trouble": warm.trouble}

    @app.post("/verify", summary="Whether two photographs show one person.", **described(VerifyAsked, PAIR))
    async def verify(request: Request) -> Response:
        def answer(fields: dict[str, object], is_page: bool) -> Response:
            opened = warm.opened
            taken = [take_photograph(fields, name, opened.verifier.settings.max_pixels) for name in PAIR]
            asked = read_asked(VerifyAsked, fields, PAIR)
            numbers, called = (asked.face_a, asked.face_b), (asked.name_a, asked.name_b)
            a, b = (
                see(opened.verifier, field, named(one, name), number, ask=is_page)
                for field, one, name, number in zip(PAIR, taken, called, numbers, strict=True)
            )
            if a.chosen is None or b.chosen is None:
                return _page(pages.choice_page((a, b), asked.model_dump(exclude_defaults=True), "/verify"))
            found = compare(opened, (a, b), asked)
            if not is_page:
                return JSONResponse(as_json(opened, found))
            verdict = verdict_of(told(opened, found), opened.name, a.photograph.name, b.photograph.name)
            return _page((verdict_page(verdict, back="/"), AROUND_A_PAGE))

        return await _answered(request, answer)

    @app.post("/identify", summary="Whom of the gallery a photograph may show.", **described(IdentifyAsked, ONE))
    async def identify_one(request: Request) -> Response:
        def answer(fields: dict[str, object], is_page: bool) -> Response:
            if gallery is None:
                raise Refused(404, "This server has no gallery.", allowed="--gallery names a folder")
            opened = warm.opened
            one = take_photograph(fields, "image", opened.verifier.settings.max_pixels)
            asked = read_asked(IdentifyAsked, fields, ONE)
            seen = see(opened.verifier, "image", named(one, asked.name), asked.face, ask=is_page)
            if seen.chosen is None:
                return _page(pages.choice_page((seen,), asked.model_dump(exclude_defaults=True), "/identify"))
            found = identify(opened, seen, gallery, asked, pictures=is_page)
            if not is_page:
                return JSONResponse(found.as_json())
            return _page((search_page(found, back="/"), AROUND_A_PAGE))

        return await _answered(request, answer)

    async def _answered(request: Request, answer: Callable[[dict[str, object], bool], Response]) -> Response:
        """In a place, and in its turn; the model is looked up then, so that one answer is of one model."""
        with places.take():
            fields = await read_fields(request)
            return await places.compute(request, lambda: answer(fields, _wants_page(request)))

    return app


def _wants_page(request: Request) -> bool:
    """A browser says that it reads HTML; what does not is answered in JSON."""
    return "text/html" in request.headers.get("accept", "")


def _page(page: pages.Page, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    text, policy = page
    return HTMLResponse(text, status, {**(headers or {}), "Content-Security-Policy": policy})


async def _refused(request: Request, error: Exception) -> Response:
    return refused(request, error)


def refused(request: Request, error: Exception) -> Response:
    """Any failure as JSON or as a page; of what is a bug of ours, nothing but that it is one."""
    status, headers, more = 422, dict[str, str](), dict[str, object]()
    told: PipelineError | str = "The server failed; its log says why."
    if isinstance(error, Refused):
        status, headers, more, told = error.status, error.headers, error.more, error
    elif isinstance(error, PipelineError):
        told = error
    elif isinstance(error, WentAway):
        return Response(status_code=CLOSED_REQUEST)
    elif isinstance(error, HTTPException):
        status, headers, told = error.status_code, dict(error.headers or {}), f"{error.detail}."
    else:
        status = 500
    if _wants_page(request):
        return _page(pages.problem_page(told), status, headers)
    what, *details = (line.strip() for line in str(told).splitlines())
    text = f"{what} ({'; '.join(details)})" if details else what
    return JSONResponse({"error": text, **more}, status, headers)
