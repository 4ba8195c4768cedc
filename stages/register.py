"""register: the best score on the validation pairs as the pyfunc model, a new version of it, and its aliases."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.files import write_json
from pipeline_lib.data.faces.detection.build import detector_weights
from pipeline_lib.delivery.registry.choice import choose
from pipeline_lib.delivery.registry.package import log_verifier, write_no_model
from pipeline_lib.delivery.registry.promote import merit_of, register_version
from pipeline_lib.delivery.verifier.example import example_photographs
from pipeline_lib.delivery.verifier.files import Settings, write_verifier
from pipeline_lib.matching.scores.shared.pairs import read_pairs
from pipeline_lib.params.align import Align
from pipeline_lib.params.embed import Embed
from pipeline_lib.params.ingest import Ingest
from pipeline_lib.params.load import read_section
from pipeline_lib.params.register import Register
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage

INPUTS = (
    *("ingest", "align", "verify", "scores", "embed", "region_embeddings"),
    *("networks", "networks_over", "region_networks", "region_weights", "anchors"),
)
NOTHING = "there is nothing to register: no score that a model can be made of was computed on validation pairs"


def main(data: Annotated[Path, typer.Option()], out: Annotated[Path, typer.Option()]) -> None:
    """Log the model to MLflow, register it, decide on the champion; leave the model and registered.json in OUT."""
    register, align, embed = (
        read_section("register", Register),
        read_section("align", Align),
        read_section("embed", Embed),
    )
    max_pixels, name = read_section("ingest", Ingest).max_pixels, register.model_name
    sections = {"register": register, "align": align, "embed": embed}
    logged = {section: values.model_dump() for section, values in sections.items()}
    with stage_run(
        "register", logged | {"ingest": {"max_pixels": max_pixels}}, {key: data / key for key in INPUTS}
    ) as run:
        pairs = read_pairs(data / "ingest" / "pairs.parquet", data / "align")
        choice = choose(register.candidates, data, pairs)
        if choice is None:
            write_no_model(out / "model", NOTHING)
            nothing: dict[str, object] = {
                "version": None,
                "aliases": [],
                "reason": NOTHING,
                "metric": None,
                "calibration": None,
                "note": "",
            }
            write_json(out / "registered.json", {"name": name, **nothing})
            run.set_tags({"decision": NOTHING})
            return
        column, note = choice.column, choice.note
        settings = Settings(score=column, align=align, embed=embed, max_pixels=max_pixels, note=note)
        merit = merit_of(choice.figures, pairs, data / "ingest" / "manifest.parquet")
        with tempfile.TemporaryDirectory() as scratch:
            folder, weights = Path(scratch, "verifier"), detector_weights(align)
            write_verifier(
                folder, settings, choice.calibration, choice.impostors, choice.scorer, choice.networks, weights
            )
            uri = log_verifier(run, name, folder, example=example_photographs(), out=out / "model")
        tags = {"networks": ", ".join(choice.networks), "score": column, "detector": align.detector}
        made = register_version(run.client, name, uri, run.run_id, merit, choice.lead, tags, note)
        about = {"metric": {"score": column, **asdict(merit)}, "calibration": asdict(choice.calibration), "note": note}
        write_json(out / "registered.json", {**asdict(made), **about})
        run.log_metrics({"version": made.version, "val_auc": merit.auc})
        run.set_tags({"decision": made.reason})


if __name__ == "__main__":
    run_stage(main)
