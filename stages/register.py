"""register: the best score on the validation pairs as the pyfunc model, a new version of it, and its aliases."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.files import read_json, write_json
from pipeline_lib.data.faces.detection.build import detector_weights
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.delivery.registry.candidates import best_column, network_folders, servable
from pipeline_lib.delivery.registry.floor import lead_over_pixels
from pipeline_lib.delivery.registry.package import log_verifier, write_no_model
from pipeline_lib.delivery.registry.promote import merit_of, register_version
from pipeline_lib.delivery.verifier.example import example_photographs
from pipeline_lib.delivery.verifier.files import Settings, write_verifier
from pipeline_lib.matching.scores.shared.pairs import read_pairs
from pipeline_lib.matching.scores.shared.table import read_scores
from pipeline_lib.matching.verification.calibration import read_calibrations
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
        figures = read_json(data / "verify" / "metrics.json").get(VALIDATION, {})
        scorers = servable(data) if figures else {}
        column = best_column(register.candidates, figures, scorers)
        if column is None:
            write_no_model(out / "model", NOTHING)
            write_json(
                out / "registered.json",
                {"name": name, "version": None, "aliases": [], "reason": NOTHING, "metric": None},
            )
            run.set_tags({"decision": NOTHING})
            return
        scorer, settings = scorers[column], Settings(score=column, align=align, embed=embed, max_pixels=max_pixels)
        networks = network_folders(data, scorer.needs)
        calibration = read_calibrations(data / "verify" / "calibration.json")[column]
        pairs = read_pairs(data / "ingest" / "pairs.parquet", data / "align")
        merit = merit_of(figures[column], pairs, data / "ingest" / "manifest.parquet")
        lead = lead_over_pixels(read_scores(data / "verify" / "scores.parquet"), column, pairs)
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch, "verifier")
            write_verifier(folder, settings, calibration, scorer, networks, detector_weights(align))
            uri = log_verifier(run, name, folder, example=example_photographs(), out=out / "model")
        tags = {"networks": ", ".join(networks), "score": column, "detector": align.detector}
        made = register_version(run.client, name, uri, run.run_id, merit, lead, tags)
        write_json(out / "registered.json", {**asdict(made), "metric": {"score": column, **asdict(merit)}})
        run.log_metrics({"version": made.version, "val_auc": merit.auc})
        run.set_tags({"decision": made.reason})


if __name__ == "__main__":
    run_stage(main)
