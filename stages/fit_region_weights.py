"""fit_region_weights: how much each region counts, by logistic regression on pairs of training identities."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import atomic_file, write_json
from pipeline_lib.matching.regions.cosines import position_names, region_cosines
from pipeline_lib.matching.regions.fits import fit_combinations, fit_summary, weight_figures, write_region_fits
from pipeline_lib.data.sources.shared.training_pairs import draw_training_pairs
from pipeline_lib.matching.regions.weight_map import draw_weight_maps
from pipeline_lib.networks.embeddings.store import read_embeddings
from pipeline_lib.params.load import load_params
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage


def main(embedded: Annotated[Path, typer.Option()], out: Annotated[Path, typer.Option()]) -> None:
    """Draw training pairs, compare their regions, fit and write weights.json, metrics.json and weight_map.png."""
    params = load_params()
    section, wanted = params.region_weights, params.regions.all_positions
    logged = {"region_weights": section.model_dump(), "regions": {"positions": wanted}}
    with stage_run("fit_region_weights", params=logged, inputs={"embedded": embedded}) as run:
        images = read_embeddings(embedded)
        positions = position_names(images)
        if positions != wanted:
            problem = "The region embeddings are of other positions; rerun the embed_regions stage."
            raise DataError(problem, got=positions, allowed=wanted, where=embedded)
        rng = np.random.default_rng(section.seed)
        num_folds = section.num_cross_validation_folds
        pairs = draw_training_pairs(images.identities, images.splits, section.num_pairs, num_folds, rng)
        keys_a, keys_b = ([images.keys[row] for row in rows.tolist()] for rows in (pairs.a, pairs.b))
        cosines = region_cosines(embedded, keys_a, keys_b)
        fits = fit_combinations(positions, cosines, pairs, section.strengths, section.num_bootstrap, rng)
        write_region_fits(out / "weights.json", fits)
        with atomic_file(out / "weight_map.png") as partial:
            partial.write_bytes(draw_weight_maps(fits))
        metrics = fit_summary(positions, cosines, pairs, fits)
        write_json(out / "metrics.json", metrics)
        run.log_metrics({f"{name}/{key}": value for name, row in metrics.items() for key, value in row.items()})
        run.log_metrics(weight_figures(fits))
        for name in ("weights.json", "weight_map.png"):
            run.log_artifact(out / name)


if __name__ == "__main__":
    run_stage(main)
