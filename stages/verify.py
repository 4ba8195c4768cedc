"""verify: the figures, curves and calibrations of every score there is."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.files import write_csv, write_json
from pipeline_lib.matching.scores.shared.pairs import read_pairs
from pipeline_lib.matching.scores.shared.table import joined, write_scores
from pipeline_lib.matching.verification import figures as of_scores
from pipeline_lib.matching.verification.attributes import read_attributes
from pipeline_lib.matching.verification.calibrated import KINDS, RELIABILITY_COLUMNS, reliability_rows, with_calibration
from pipeline_lib.matching.verification.calibration import write_calibrations
from pipeline_lib.matching.verification.cmc import CMC_COLUMNS, cmc_rows
from pipeline_lib.matching.verification.groups import group_columns, group_rows, spreads
from pipeline_lib.matching.verification.headline import write_headline
from pipeline_lib.matching.verification.intervals import resampled_protocols, with_intervals
from pipeline_lib.matching.verification.region_table import REGION_COLUMNS, region_rows
from pipeline_lib.params.load import read_section
from pipeline_lib.params.verify import Verify
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage

log = logging.getLogger("face_verifier")


def main(
    pairs: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    manifest: Annotated[Path, typer.Option()],
    scores: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
    headline: Annotated[Path, typer.Option()],
) -> None:
    """Join the tables of scores; write them, calibrations, figures, groups and curves; with no score, empty ones."""
    params = read_section("verify", Verify)
    inputs = {"pairs": pairs, "aligned": aligned, "manifest": manifest, "scores": scores}
    with stage_run("verify", params={"verify": params.model_dump()}, inputs=inputs) as run:
        scorable = read_pairs(pairs, aligned)
        table = joined(scorable.table, sorted(scores.glob("*.parquet")))
        fits = {kind: of_scores.all_calibrations(table, params.decide, kind) for kind in KINDS}
        metrics = with_calibration(of_scores.all_metrics(table, scorable.num_dropped, params), table, fits)
        resampled = resampled_protocols(scorable, params.num_bootstrap)
        metrics = with_intervals(metrics, table, fits, resampled, params)
        calibrations = fits[params.calibration]
        if not calibrations:
            log.warning("No score is calibrated: there are no scores, or no pairs of the protocol val.")
        attributes = read_attributes(params.groups, manifest, manifest.with_name("attributes.parquet"))
        groups = group_rows(table, scorable, attributes, calibrations, params.false_accept_rates)
        for (protocol, score), figures in spreads(groups).items():
            metrics[protocol][score] |= figures
        write_scores(out / "scores.parquet", table)
        write_json(out / "metrics.json", metrics)
        write_headline(headline, metrics)
        write_calibrations(out / "calibration.json", calibrations)
        write_csv(out / "roc.csv", ("protocol", "score", "far", "tar"), of_scores.curve_rows(table))
        write_csv(out / "reliability.csv", RELIABILITY_COLUMNS, reliability_rows(table, fits))
        write_csv(out / "regions.csv", REGION_COLUMNS, region_rows(table, metrics, params))
        write_csv(out / "cmc.csv", CMC_COLUMNS, cmc_rows(table, params))
        columns = group_columns(params.false_accept_rates)
        write_csv(out / "groups.csv", columns, ([row[name] for name in columns] for row in groups))
        run.log_metrics(of_scores.flat_metrics(metrics))
        run.log_headline(*of_scores.best_scores(metrics))
        run.set_tags(
            {
                "calibrated_scores": ", ".join(calibrations) or "none: no scores, or no pairs of the protocol val",
                "protocols_with_intervals": ", ".join(resampled) or "none",
            }
        )
        for name in ("metrics.json", "calibration.json", "reliability.csv", "roc.csv", "regions.csv", "groups.csv"):
            run.log_artifact(out / name)


if __name__ == "__main__":
    run_stage(main)
