"""register: the best score on the validation pairs as the pyfunc model, a new version of it, and its aliases."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.files import write_json
from pipeline_lib.data.faces.detection.build import detector_weights
from pipeline_lib.delivery.registry.card import CARD, figures_at_threshold, model_card
from pipeline_lib.delivery.registry.choice import choose
from pipeline_lib.delivery.registry.package import log_verifier, write_no_model
from pipeline_lib.delivery.registry.photographs import domain_of_choice
from pipeline_lib.delivery.registry.promote import merit_of, register_version
from pipeline_lib.delivery.registry.provenance import about_model
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
    register, align = read_section("register", Register), read_section("align", Align)
    embed, ingest = read_section("embed", Embed), read_section("ingest", Ingest)
    max_pixels, name = ingest.max_pixels, register.model_name
    sections = {"register": register, "align": align, "embed": embed}
    logged = {section: values.model_dump() for section, values in sections.items()}
    with stage_run(
        "register", logged | {"ingest": {"max_pixels": max_pixels}}, {key: data / key for key in INPUTS}
    ) as run:
        pairs = read_pairs(data / "ingest" / "pairs.parquet", data / "align")
        choice = choose(register.candidates, data, pairs)
        if choice is None:
            write_no_model(out / "model", NOTHING)
            without = dict.fromkeys(("version", "metric", "calibration"))
            write_json(out / "registered.json", {"name": name, "aliases": [], "reason": NOTHING, "note": "", **without})
            run.set_tags({"decision": NOTHING})
            return
        column, note = choice.column, choice.note
        settings = Settings(score=column, align=align, embed=embed, max_pixels=max_pixels, note=note)
        merit = merit_of(choice.figures, pairs, data / "ingest" / "manifest.parquet")
        said, domain = about_model(name, choice, ingest, pairs, data), domain_of_choice(choice, data)
        card = model_card(said, choice, domain)
        run.log_metrics({"val_auc": merit.auc, **figures_at_threshold(choice.calibration)})  # the model's, too
        with tempfile.TemporaryDirectory() as scratch:
            folder, weights = Path(scratch, "verifier"), detector_weights(align)
            kept = choice.calibration, choice.impostors, choice.scorer, choice.networks, weights, said, domain
            write_verifier(folder, settings, *kept)
            (folder / CARD).write_text(card, encoding="utf-8")
            uri = log_verifier(run, name, folder, example=example_photographs(), out=out / "model")
        tags = {"networks": ", ".join(choice.networks), "score": column, "detector": align.detector}
        made = register_version(run.client, name, uri, run.run_id, merit, choice.lead, tags, note, card)
        about = {"metric": {"score": column, **asdict(merit)}, "calibration": asdict(choice.calibration), "note": note}
        write_json(out / "registered.json", {**asdict(made), **about})
        run.log_metrics({"version": made.version})
        run.set_tags({"decision": made.reason})
        run.log_headline(figures_at_threshold(choice.calibration), {"registered": f"{name} {made.version}: {column}"})


if __name__ == "__main__":
    run_stage(main)
