"""Register: network, calibration and detector as the pyfunc model, a new version of it, and its aliases."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.files import write_json
from pipeline_lib.data.faces.align_batch import AlignSettings, with_weights
from pipeline_lib.delivery.registry.package import log_verifier
from pipeline_lib.delivery.registry.promote import merit_of, register_version
from pipeline_lib.delivery.verifier.example import example_photographs
from pipeline_lib.delivery.verifier.verifier import Settings
from pipeline_lib.params.load import Params, load_params
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage


def main(
    network: Annotated[Path, typer.Option()],
    calibration: Annotated[Path, typer.Option()],
    metrics: Annotated[Path, typer.Option()],
    manifest: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    pairs: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Log the model to MLflow, register it, decide on the champion; leave the model and registered.json in OUT."""
    params = load_params()
    settings = _settings(params, score=f"cosine:{network.name}")
    logged = {
        "register": params.register_.model_dump(),
        "align": params.align.model_dump(),
        "verifier": asdict(settings),
    }
    inputs = {"network": network, "calibration": calibration, "metrics": metrics, "manifest": manifest, "pairs": pairs}
    with stage_run("register", params=logged, inputs=inputs) as run:
        merit = merit_of(metrics, pairs, manifest, aligned / "index.parquet", settings.score)
        name = params.register_.model_name
        uri = log_verifier(
            run,
            name,
            network=network,
            calibration=calibration,
            settings=settings,
            detector_weights=_detector_weights(params),
            example=example_photographs(),
            out=out / "model",
        )
        tags = {"network": network.name, "score": settings.score, "detector": settings.detector}
        made = register_version(run.client, name, uri, run.run_id, merit, tags)
        write_json(out / "registered.json", {**asdict(made), "metric": {"score": settings.score, **asdict(merit)}})
        run.log_metrics({"version": made.version, "val_auc": merit.auc})
        run.set_tags({"decision": made.reason})


def _settings(params: Params, score: str) -> Settings:
    align = params.align
    return Settings(
        score=score,
        detector=align.detector,
        min_score=align.min_score,
        several_faces=align.several_faces,
        min_face_px=align.min_face_px,
        max_pixels=params.ingest.max_pixels,
        mirror=params.embed.mirror,
    )


def _detector_weights(params: Params) -> Path | None:
    align = params.align
    chosen = None if align.weights is None else Path(align.weights)
    fields = (align.detector, chosen, align.min_score, align.several_faces, align.min_face_px, params.ingest.max_pixels)
    return with_weights(AlignSettings(Path.cwd(), *fields)).weights


if __name__ == "__main__":
    run_stage(main)
