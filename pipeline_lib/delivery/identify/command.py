"""face-verifier identify: a photograph, a folder of photographs, and who of them it may be."""

import json
import logging
from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import ESCAPED, clear_output, output_file
from pipeline_lib.delivery.registry.options import ModelUri, TrackingUri
from pipeline_lib.params.machine import load_machine


def identify(
    photograph: Annotated[Path, typer.Argument(help="A photograph with one face.")],
    gallery: Annotated[
        Path, typer.Option(help="A folder of one folder a person, or of photographs named after people.")
    ],
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write the answer as one self-contained page.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")] = False,
    top: Annotated[int, typer.Option(min=1, help="How many people to list.")] = 5,
    fpir: Annotated[
        float,
        typer.Option(
            help="False-positive identification rate: of people who are not in the gallery, this share is taken for one."
        ),
    ] = 0.01,
    rerank: Annotated[
        bool | None,
        typer.Option(
            "--rerank/--no-rerank",
            help="Order the 20 best by patches of the faces, too; default: where that was measured to help (dlib_resnet).",
            show_default=False,
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the gallery's features; default: ~/.cache/face-verifier/galleries.", show_default=False
        ),
    ] = None,
    model: ModelUri = None,
    tracking: TrackingUri = None,
) -> None:
    """Say who of a folder of photographs another photograph may show, or that it is nobody of them.

    The first search looks at every photograph of the gallery and keeps features of the faces outside it; later ones look at those
    alone that are new or changed. Photographs that cannot be used are counted and told.

    Where no store is named and none is here, the verifier that the package brings answers, and says so.

    Exit code 0: there is an answer, "nobody" too (see the text, or "name" in the JSON). 1: there is none, the message says why.
    2: the command line was wrong.
    """
    from pipeline_lib.delivery.identify import page, words
    from pipeline_lib.delivery.identify.answer import Asked, identify_photograph
    from pipeline_lib.delivery.identify.model import open_asked

    if not 0 < fpir < 1:
        raise typer.BadParameter(f"{fpir} is not between 0 and 1", param_hint="--fpir")
    if html is not None:
        if html.resolve() == photograph.resolve() or html.resolve().is_relative_to(gallery.resolve()):
            problem = "An output would replace a photograph or lie in the gallery."
            raise DataError(problem, got=html, allowed="another file", where="--html")
        clear_output(html)
    with open_asked(model, tracking) as opened:
        logging.basicConfig(level=logging.INFO, format="%(message)s")  # the progress, where there is no terminal
        asked = Asked(top, fpir, rerank, pictures=html is not None)
        found = identify_photograph(opened, photograph, gallery, cache, asked, load_machine().num_workers)
    if html is not None:
        with output_file(html) as partial:
            partial.write_text(page.as_page(found), encoding="utf-8", errors=ESCAPED)
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=1))
        return
    typer.echo(words.as_text(found))
    if html is not None:
        typer.echo(f"Page: {html}")
