"""verify: every score on every pair, and the figures, curves and calibrations read from them."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.files import atomic_file, write_json
from pipeline_lib.core.tables import read_table, write_table
from pipeline_lib.data.sources.shared.aligned_pairs import usable_pairs
from pipeline_lib.matching.verification.calibration import write_calibrations
from pipeline_lib.matching.verification.protocols import all_calibrations, all_metrics, curve_rows, flat_metrics
from pipeline_lib.matching.verification.region_table import REGION_COLUMNS, region_rows
from pipeline_lib.matching.verification.scores import (
    cosine_scores,
    dam_scores,
    raw_pixel_scores,
    region_scores,
    score_table,
)
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.store import read_embeddings
from pipeline_lib.params.load import load_params
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage


def main(
    pairs: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    embedded: Annotated[Path, typer.Option()],
    embedded_regions: Annotated[Path, typer.Option()],
    region_weights: Annotated[Path, typer.Option()],
    anchors: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Score the pairs whose images were aligned, and write scores, calibrations, metrics, regions and ROC curves."""
    params = load_params()
    dam, networks = params.dam, list(params.networks)
    logged = {"verify": params.verify.model_dump(), "dam": dam.model_dump(), "networks": networks}
    inputs = {"pairs": pairs, "aligned": aligned, "embedded": embedded, "embedded_regions": embedded_regions}
    inputs |= {"region_weights": region_weights, "anchors": anchors}
    with stage_run("verify", params=logged, inputs=inputs) as run:
        images = ShardImages(aligned)
        usable, num_dropped = usable_pairs(read_table(pairs, PAIRS), images.image_ids)
        scores = {"raw_pixel": raw_pixel_scores(images, usable)}
        for network in networks:
            scores |= cosine_scores(read_embeddings(embedded / network), usable, network)
        combined, single = region_scores(embedded_regions, region_weights, usable)
        scores |= combined
        scores |= dam_scores(read_embeddings(embedded / dam.network), anchors, usable, dam.scale, dam.num_neighbours)

        table, schema = score_table(usable, {**scores, **single})
        write_table(out / "scores.parquet", table, schema)
        metrics = all_metrics(table, num_dropped, params.verify.false_accept_rates)
        write_json(out / "metrics.json", metrics)
        write_calibrations(out / "calibration.json", all_calibrations(table))
        write_csv(out / "roc.csv", ("protocol", "score", "far", "tar"), curve_rows(table))
        whole = [network for network in networks if params.networks[network].arch != "rrfnet"]
        write_csv(out / "regions.csv", REGION_COLUMNS, region_rows(table, metrics, whole))
        run.log_metrics(flat_metrics(metrics))
        for name in ("metrics.json", "calibration.json", "roc.csv", "regions.csv"):
            run.log_artifact(out / name)


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV file with a header."""
    with atomic_file(path) as partial, partial.open("w", newline="") as handle:
        csv.writer(handle).writerows([columns, *rows])


if __name__ == "__main__":
    run_stage(main)
