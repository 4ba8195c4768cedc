"""The console command `face-verifier`: check params, compare photographs, identify, serve, sum up a rebuild, promote, export."""

import io
import json
import sys
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline_lib.core.errors import DataError, PipelineError
from pipeline_lib.core.files import ESCAPED, clear_output, output_file, read_json
from pipeline_lib.delivery.bulk.command import embed, verify_table
from pipeline_lib.delivery.identify.command import identify
from pipeline_lib.delivery.registry.ask import CHAMPION, ask
from pipeline_lib.delivery.registry.options import ModelUri, TrackingUri
from pipeline_lib.delivery.report.tables import as_text, headline_table
from pipeline_lib.delivery.serve.command import serve
from pipeline_lib.delivery.verdict import words
from pipeline_lib.delivery.verdict.told import verdict_of
from pipeline_lib.tracking.store import existing_store, is_store, open_client, shown_uri, tracking_uri
from pipeline_lib.why.study.command import study

NOT_PRINTED = ("maps", "face_a", "face_b", "photo_a", "photo_b", "png")  # an answer's pictures, and 25,088 numbers
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(study, name="study")
app.command()(identify)
app.command()(embed)
app.command()(serve)
Data = Annotated[Path, typer.Option(help="The rebuild's data folder.")]


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(version("face-verifier"))
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Check params, compare photographs, identify, serve, sum up a rebuild, promote, export."""


@app.command()
def check() -> None:
    """Check params.yaml before the first stage: every key, every kind, that the files it names exist and that no later stage
    refuses the photographs, for what they are called or how few they are.

    Outputs of entries that it no longer names are removed from data/; DVC's cache keeps them.
    """
    from pipeline_lib.check import check_params, check_processes
    from pipeline_lib.check_photos import check_photos
    from pipeline_lib.checkout import check_checkout
    from pipeline_lib.leftovers import remove_leftovers
    from pipeline_lib.params.machine import load_machine

    check_checkout()
    params = check_params()
    check_processes(params, load_machine())
    check_photos(params, Path())
    for path in remove_leftovers(params, Path("data")):
        typer.echo(f"Removed {path}: params.yaml no longer names it.")
    typer.echo("params.yaml is as it should be.")


@app.command()
def scale(usual: Annotated[str, typer.Argument(help="The scale that params.yaml is composed with.")]) -> None:
    """Print the scale that fits the photographs: USUAL or, where people are too few to train on, `untrained`; stderr says why."""
    from pipeline_lib.check import check_params
    from pipeline_lib.fitting_scale import fitting_scale

    name, reason = fitting_scale(usual, check_params(), Path())
    if reason:
        typer.echo(reason, err=True)
    typer.echo(name)


@app.command()
def verify(
    a: Annotated[Path | None, typer.Argument(help="One photograph with one face.", show_default=False)] = None,
    b: Annotated[Path | None, typer.Argument(help="The other one.", show_default=False)] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", help="Also write the verdict as one self-contained page; without a verdict there is none."
        ),
    ] = None,
    png: Annotated[
        Path | None, typer.Option("--png", help="Also write both faces and their maps as a picture.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")] = False,
    method: Annotated[
        str, typer.Option(help="What explains the score: auto, additive, xssab or another that the model offers.")
    ] = "auto",
    check: Annotated[
        bool,
        typer.Option(
            help="Also hide each part of the faces, and say whether that points at the same parts; 98 images more."
        ),
    ] = True,
    fmr: Annotated[
        float | None,
        typer.Option(
            help="Decide at the threshold that such a share of the calibration's pairs of two people is above."
        ),
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="Decide at this threshold, not at the model's.")] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="In place of A and B: a CSV file with columns a, b and, if wanted, id.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="With --pairs: the CSV file of answers.")] = None,
    explain: Annotated[Path | None, typer.Option(help="With --pairs: a folder for a page a pair.")] = None,
    fail_on_error: Annotated[
        bool, typer.Option("--fail-on-error", help="With --pairs: exit with 1 if a pair has no answer.")
    ] = False,
    model: ModelUri = None,
    tracking: TrackingUri = None,
) -> None:
    """Say whether two photographs show one person, how sure that is, and which parts of the face say so.

    Where no store is named and none is here, as in a fresh clone, the verifier that the package brings answers, and says so.

    Which parts: by the network's own sum over patches (RRFNet, BagNet), else by what its score reacts to; the answer says which.

    With --pairs and --out, many of them: every row is answered or says why not, each photograph is looked at once, and a call
    that was stopped goes on where it was.

    Exit code 0: there is a verdict, match or not (see the text, or "match" in the JSON). 1: there is none, the message
    says why (no face, no such file, no such model). 2: the command line was wrong.
    """
    if pairs is not None:
        if a is not None or html or png or as_json or out is None:
            raise typer.BadParameter(
                "goes with --out, and without A, B, --html, --png and --json", param_hint="--pairs"
            )
        verify_table(pairs, out, explain, fail_on_error, fmr, threshold, model, tracking)
        return
    if a is None or b is None or out or explain or fail_on_error:
        raise typer.BadParameter("two photographs, or --pairs with --out", param_hint="A B")
    for option, path in (("--html", html), ("--png", png)):
        if path is None:
            continue
        if path.resolve() in (a.resolve(), b.resolve()):
            raise DataError("An output would replace a photograph.", got=path, allowed="another file", where=option)
        clear_output(path)  # a failure must not leave the last pair's page, which says Match or No match
    if missing := [path for path in (a, b) if not path.is_file()]:
        raise DataError("There is no such photograph.", got=", ".join(map(str, missing)))
    given = {"method": method, "check": check, "draw": png is not None, "fmr": fmr, "threshold": threshold}
    asked = {name: value for name, value in given.items() if value is not None}
    if model is None and tracking is None and not is_store(tracking_uri()):
        from pipeline_lib.delivery.verifier import shipped

        model, answer = shipped.NAME, shipped.ask_shipped(a, b, asked)
    else:
        model = model or CHAMPION
        answer = ask(model, existing_store(tracking), a, b, asked)
    if answer["error"] is not None:
        raise DataError("There is no verdict.", got=answer["error"])
    if {"fmr", "threshold"} & set(asked) and not answer.get("basis"):
        problem = "The model was registered before a threshold could be asked for, and has answered with its own."
        raise DataError(
            problem, got=answer["threshold"], allowed="`make repro`, which registers a newer one", where=model
        )
    verdict = verdict_of(answer, model, a.name, b.name)
    if png is not None:
        if verdict.png is None:
            raise DataError("There is no picture to write.", got=verdict.explanation, where="--png")
        with output_file(png) as partial:
            partial.write_bytes(verdict.png)
    if html is not None:
        from pipeline_lib.delivery.verdict.page import (
            as_page,
        )  # and with it torch, which a model asked elsewhere needs not

        with output_file(html) as partial:
            partial.write_text(as_page(verdict), encoding="utf-8", errors=ESCAPED)
    if as_json:
        shown = {key: value for key, value in answer.items() if key not in NOT_PRINTED}
        typer.echo(json.dumps({**shown, "model": model}, indent=1))
        return
    typer.echo(words.as_text(verdict))
    for name, path in (("Page", html), ("Picture", png)):
        if path is not None:
            typer.echo(f"{name}: {path}")


@app.command()
def promote(
    version: Annotated[int, typer.Argument(help="The version that is to answer as champion.")],
    name: Annotated[str, typer.Option(help="The registered model's name.")] = "face-verifier",
    tracking: TrackingUri = None,
) -> None:
    """Make a model version the champion by hand, whatever its figures."""
    from pipeline_lib.delivery.registry.promote import promote as promote_version

    before = promote_version(open_client(existing_store(tracking)), name, version)
    instead = "" if before in (None, version) else f" (before: version {before})"
    typer.echo(f"{name} version {version} is the champion{instead}.")


@app.command()
def summary(data: Data = Path("data")) -> None:
    """Print the headline figures of the last rebuild, what it left out, and where its report, claims, runs and model are."""
    from pipeline_lib.delivery.report.chapters import left_out

    metrics, registered = data / "verify" / "metrics.json", data / "register" / "registered.json"
    report, claims = data / "report" / "index.html", data / "claims" / "claims.json"
    manifest = data / "ingest" / "manifest.parquet"
    if not any(path.is_file() for path in (metrics, registered, report, claims)):
        raise DataError("There is no rebuild here; run `dvc repro`.", where=data)
    if metrics.is_file():
        typer.echo(as_text(headline_table(read_json(metrics))))
        typer.echo("")
    if manifest.is_file() and (without := left_out.read(data)):
        typer.echo(f"Left out {left_out.in_words(without)}")
    typer.echo(f"Report   {report.resolve() if report.is_file() else _not_yet('report')}")
    typer.echo(f"Claims   {_claims_in_short(read_json(claims)) if claims.is_file() else _not_yet('claims')}")
    typer.echo(f"MLflow   {shown_uri(tracking_uri())}")
    about = read_json(registered) if registered.is_file() else {}
    typer.echo(f"Model    {_model_in_short(about) if about else _not_yet('register')}")
    if about.get("note"):  # an older rebuild has none
        typer.echo(f"         {about['note']}")


@app.command()
def claims(data: Data = Path("data")) -> None:
    """Print what became of the papers' claims in the last rebuild: effect, interval, verdict."""
    from pipeline_lib.delivery.claims import words as claims_words

    path = data / "claims" / "claims.json"
    try:
        text = claims_words.as_text(read_json(path))
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError("The claims are of another version; run `dvc repro claims`.", got=error, where=path) from error
    typer.echo(text)


@app.command()
def export(
    network: Annotated[Path, typer.Option(help="A network's folder, such as data/networks/iresnet.")],
    out: Annotated[Path, typer.Option(help="The file: .pth, .onnx or .safetensors.")],
) -> None:
    """Write a trained network for other programs: its state dict in the public layout, or ONNX."""
    from pipeline_lib.networks.backbones.shared.checkpoints import load_network
    from pipeline_lib.networks.export import export_network

    if not out.parent.is_dir():
        raise DataError("There is no such folder to write into.", got=out.parent, where="--out")
    export_network(load_network(network), out)
    typer.echo(f"{out}: {out.stat().st_size:,} bytes")


@app.command(name="export-faces")
def export_faces(
    to: Annotated[str, typer.Option(help="folder, recordio, or verification_bin, which takes pairs.")],
    out: Annotated[Path, typer.Option(help="The folder, or the .bin file.")],
    split: Annotated[str | None, typer.Option(help="train, val or test; all of them without.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Whose pairs, for verification_bin.")] = None,
    data: Data = Path("data"),
) -> None:
    """Write the aligned faces of a rebuild for other programs: a folder of PNGs, or InsightFace's RecordIO and .bin."""
    from pipeline_lib.core.kinds import load_kind
    from pipeline_lib.data.exports.shared.faces import exported_faces

    module = load_kind("data.exports", to, "--to")
    if out.exists() and (out.is_file() or any(out.iterdir())):
        raise DataError("There is something of this name already.", got=out, allowed="a new name", where="--out")
    faces = exported_faces(data / "align", split, data / "ingest" / "pairs.parquet", protocol)
    module.write(faces, out)
    typer.echo(f"{out}: {len(faces.image_ids):,} faces of {len(set(faces.identities)):,} people")


def main() -> None:
    """Entry point; errors of ours are printed without a traceback and exit with 1."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=ESCAPED)
    try:
        app()
    except PipelineError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def _not_yet(stage: str) -> str:
    return f"none yet; `dvc repro {stage}` makes it"


def _claims_in_short(claims: dict[str, Any]) -> str:
    """How often each verdict was given, a claim counting once a protocol."""
    verdicts = Counter(result["verdict"] for claim in claims.values() for result in claim["protocols"].values())
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common()) or "none"
    return f"{counts} (face-verifier claims)"


def _model_in_short(registered: dict[str, Any]) -> str:
    if registered["version"] is None:
        return f"none: {registered['reason']}"
    aliases = ", ".join(registered["aliases"])
    return f"models:/{registered['name']}/{registered['version']} ({aliases}): {registered['reason']}"


if __name__ == "__main__":
    main()
