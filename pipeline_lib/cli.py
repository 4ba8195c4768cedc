"""The console command `face-verifier`: compare two photographs, promote a model, sum up a rebuild, export a network."""

import base64
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline_lib.core.errors import DataError, PipelineError
from pipeline_lib.core.files import atomic_file, read_json
from pipeline_lib.delivery.registry import ask_model
from pipeline_lib.delivery.report import verdict as words
from pipeline_lib.delivery.report.tables import as_text, headline_table
from pipeline_lib.tracking.store import RegistryError, open_client, shown_uri, tracking_uri

MODEL = "models:/face-verifier@champion"
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
TrackingUri = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri", help="MLflow's store; else MLFLOW_TRACKING_URI, else ./mlflow.db.", show_default=False
    ),
]


@app.command()
def verify(
    a: Annotated[Path, typer.Argument(help="One photograph with one face.")],
    b: Annotated[Path, typer.Argument(help="The other one.")],
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write the verdict as one self-contained page.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")] = False,
    model: Annotated[str, typer.Option(help="The registered model.")] = MODEL,
    tracking: TrackingUri = None,
) -> None:
    """Say whether two photographs show one person, how sure that is, and which parts of the face say so.

    Exit code 0: there is a verdict, match or not (see the text, or "match" in the JSON). 1: there is none, the message
    says why (no face, no such file, no such model). 2: the command line was wrong.
    """
    answer = _ask(model, _existing_store(tracking), a, b)
    if answer["error"] is not None:
        raise DataError("There is no verdict.", got=answer["error"])
    png = base64.b64decode(answer.pop("png"))
    if html is not None:
        page = words.as_page(_verdict(answer, png, model, a, b))
        with atomic_file(html) as partial:
            partial.write_text(page, encoding="utf-8")
    if as_json:
        typer.echo(json.dumps({**answer, "model": model}, indent=1))
        return
    typer.echo(words.as_text(_verdict(answer, png, model, a, b)))
    if html is not None:
        typer.echo(f"Page: {html}")


@app.command()
def promote(
    version: Annotated[int, typer.Argument(help="The version that is to answer as champion.")],
    name: Annotated[str, typer.Option(help="The registered model's name.")] = "face-verifier",
    tracking: TrackingUri = None,
) -> None:
    """Make a model version the champion by hand, whatever its figures."""
    from pipeline_lib.delivery.registry.promote import promote as promote_version

    before = promote_version(open_client(_existing_store(tracking)), name, version)
    instead = "" if before in (None, version) else f" (before: version {before})"
    typer.echo(f"{name} version {version} is the champion{instead}.")


@app.command()
def summary(data: Annotated[Path, typer.Option(help="The rebuild's data folder.")] = Path("data")) -> None:
    """Print the headline figures of the last rebuild, and where its report, runs and model are."""
    registered = read_json(data / "register" / "registered.json")
    table = headline_table(read_json(data / "verify" / "metrics.json"))
    report = data / "report" / "index.html"
    if not report.is_file():
        raise DataError("The report is missing; run `dvc repro`.", where=report)
    typer.echo(as_text(table))
    typer.echo("")
    aliases = ", ".join(registered["aliases"])
    typer.echo(f"Report   {report.resolve()}")
    typer.echo(f"MLflow   {shown_uri(tracking_uri())}")
    typer.echo(f"Model    models:/{registered['name']}/{registered['version']} ({aliases}): {registered['reason']}")


@app.command()
def export(
    network: Annotated[Path, typer.Option(help="A network's folder, such as data/networks/iresnet.")],
    out: Annotated[Path, typer.Option(help="The file: .pth, .onnx or .safetensors.")],
) -> None:
    """Write a trained network for other programs: its state dict in the public layout, or ONNX."""
    from pipeline_lib.networks.backbones.shared.checkpoints import load_network
    from pipeline_lib.networks.export import export_network

    export_network(load_network(network), out)
    typer.echo(f"{out}: {out.stat().st_size:,} bytes")


def main() -> None:
    """Entry point; errors of ours are printed without a traceback and exit with 1."""
    try:
        app()
    except PipelineError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def _ask(model: str, uri: str, a: Path, b: Path) -> dict[str, Any]:
    """Let the model answer in an interpreter of its own; see ask_model."""
    request = {"model": model, "tracking_uri": uri, "image_a": str(a), "image_b": str(b)}
    quiet = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    with tempfile.TemporaryDirectory() as scratch:
        request_file, answer_file = Path(scratch, "request.json"), Path(scratch, "answer.json")
        request_file.write_text(json.dumps(request))
        # -P: the script's folder holds modules with everyday names and must not be searched for imports
        command = [sys.executable, "-P", ask_model.__file__, str(request_file), str(answer_file)]
        done = subprocess.run(command, env={**os.environ, **quiet}, stderr=subprocess.PIPE, text=True, check=False)
        if not answer_file.exists():
            raise RegistryError("The model failed.", got=done.stderr.strip()[-2000:], where=model)
        answer: dict[str, Any] = json.loads(answer_file.read_text())
    if "failure" in answer:
        raise RegistryError(
            "The model cannot be loaded.", got=answer["failure"], allowed="models:/NAME@ALIAS", where=shown_uri(uri)
        )
    return answer


def _existing_store(given: str | None) -> str:
    """The store's URI; refuses a sqlite file that does not exist, which MLflow would create empty."""
    uri = given or tracking_uri()
    database = Path(uri.removeprefix("sqlite:///").partition("?")[0])
    if uri.startswith("sqlite:///") and not database.is_file():
        raise RegistryError(
            "There is no MLflow store here.",
            got=database,
            allowed="--tracking-uri or MLFLOW_TRACKING_URI, or a folder in which `make repro` was run",
        )
    return uri


def _verdict(answer: dict[str, Any], png: bytes, model: str, a: Path, b: Path) -> words.Verdict:
    return words.Verdict(
        name_a=a.name,
        name_b=b.name,
        model=model,
        similarity=answer["similarity"],
        threshold=answer["threshold"],
        match=answer["match"],
        probability=answer["probability"],
        contributions=answer["contributions"],
        png=png,
    )


if __name__ == "__main__":
    main()
