"""face-verifier serve: a page and an API in front of the verifier."""

import logging
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.delivery.registry.options import ModelUri, TrackingUri
from pipeline_lib.params.machine import load_machine


def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    host: Annotated[
        str, typer.Option(help="The address to listen on; another than loopback needs a token.")
    ] = "127.0.0.1",
    gallery: Annotated[
        Path | None,
        typer.Option(help="A folder as `identify` takes it, for /identify; looked at before the server starts."),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="A file with the token that every request must bring.", show_default=False)
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A further name under which browsers may reach the server.")
    ] = None,
    model: ModelUri = None,
    tracking: TrackingUri = None,
) -> None:
    """Serve a page on which an operator compares two photographs, and the same as an API (/docs lists it).

    The model stays in memory; one that is promoted meanwhile takes its place between two requests. Where no store is named and
    none is here, the verifier that the package brings answers. Photographs stay in memory, and are forgotten with
    the answer.

    Exit code 0: it was stopped by Ctrl-C. 1: it could not start, the message says why. 2: the command line was wrong.
    """
    from pipeline_lib.delivery.identify.model import Opened
    from pipeline_lib.delivery.serve.server import answered_names, bind, read_token

    token = read_token(host, token_file)
    with bind(host, port) as listening:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
        from pipeline_lib.delivery.identify.cache import cache_file
        from pipeline_lib.delivery.identify.embedded import embed_gallery
        from pipeline_lib.delivery.identify.gallery import list_gallery
        from pipeline_lib.delivery.serve.app import make_app
        from pipeline_lib.delivery.serve.places import Places
        from pipeline_lib.delivery.serve.server import make_server
        from pipeline_lib.delivery.serve.warm import Warm

        def prepare(opened: Opened) -> None:
            if gallery is not None:
                cache = cache_file(None, gallery, opened.digest)
                embed_gallery(list_gallery(gallery), gallery, opened, cache, load_machine().num_workers)

        warm = Warm(model, tracking, prepare)
        app = make_app(warm, Places(), gallery, answered_names(host, allow_host or []), token)
        shown = f"[{host}]" if ":" in host else host
        typer.echo(f"{warm.opened.name} answers at http://{shown}:{listening.getsockname()[1]}/ (Ctrl-C stops it)")
        with suppress(KeyboardInterrupt):  # uvicorn raises again, after it has stopped, what it was stopped by
            make_server(app).run(sockets=[listening])
