"""fit_region_weights: how much each region counts, by logistic regression on pairs of training identities."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import write_json
from pipeline_lib.core.params import load_params
from pipeline_lib.embedding.store import read_embeddings
from pipeline_lib.registry.tracking import stage_run
from pipeline_lib.similarity.region_cosines import position_names, region_cosines
from pipeline_lib.similarity.region_weights import draw_training_pairs, fit_region_weights, write_region_weights
from stages.common import run_stage


def main(embedded: Annotated[Path, typer.Option()], out: Annotated[Path, typer.Option()]) -> None:
    """Draw training pairs, compare their regions, fit and write weights.json and metrics.json."""
    params = load_params()
    section = params.region_weights
    logged = {"region_weights": section.model_dump(), "regions": {"positions": params.regions.positions}}
    with stage_run("fit_region_weights", params=logged, inputs={"embedded": embedded}) as run:
        images = read_embeddings(embedded)
        positions = position_names(images)
        if positions != params.regions.positions:
            problem = "The region embeddings are of other positions; rerun the embed_regions stage."
            raise DataError(problem, got=positions, allowed=params.regions.positions, where=embedded)
        rng = np.random.default_rng(section.seed)
        num_folds = section.num_cross_validation_folds
        pairs = draw_training_pairs(images.identities, images.splits, section.num_pairs, num_folds, rng)
        keys_a, keys_b = ([images.keys[row] for row in rows.tolist()] for rows in (pairs.a, pairs.b))
        cosines = region_cosines(embedded, keys_a, keys_b)
        found = fit_region_weights(positions, cosines, pairs.genuine, pairs.folds, section.strengths)
        write_region_weights(out / "weights.json", found)
        accepted = found.score(cosines) + found.intercept > 0
        metrics = {
            "num_pairs": len(pairs.genuine),
            "strength": found.strength,
            "held_out_log_loss": found.log_losses[found.strength],
            "training_accuracy": float(np.mean(accepted == pairs.genuine)),
            **{f"weight.{name}": weight for name, weight in zip(positions, found.weights.tolist(), strict=True)},
        }
        write_json(out / "metrics.json", metrics)
        run.log_metrics(metrics)
        run.log_artifact(out / "weights.json")


if __name__ == "__main__":
    run_stage(main)
