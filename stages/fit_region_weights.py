"""fit_region_weights@entry: how much each region counts, by logistic regression on pairs of images."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pipeline_lib.core.files import atomic_file, write_json
from pipeline_lib.core.tables import read_table
from pipeline_lib.core.texts import Texts
from pipeline_lib.matching.regions.features import open_region_features, region_cosines
from pipeline_lib.matching.regions.fits import fit_combinations, fit_summary, weight_figures, write_region_fits
from pipeline_lib.matching.regions.variants import (
    best_variant,
    by_split,
    fit_variants,
    variants_of,
    variants_summary,
    write_variants,
)
from pipeline_lib.matching.regions.weight_map import draw_weight_maps
from pipeline_lib.params.load import read_entry
from pipeline_lib.params.regions import RegionWeights
from pipeline_lib.schemas.training_pairs import TRAINING_PAIRS
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage

BOOTSTRAP = 1  # beside the seed: the pairs are drawn from the seed alone


def main(
    weights: Annotated[str, typer.Option()],
    embedded: Annotated[Path, typer.Option()],
    pairs: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Compare the regions of the pairs, fit in every way and write weights.json of the best, variants.json, metrics, a map."""
    section = read_entry("regions.weights", weights, RegionWeights)
    logged = {"regions": {"weights": {weights: section.model_dump()}}}
    inputs = {"embedded": embedded, "pairs": pairs}
    with stage_run(f"fit_region_weights@{weights}", params=logged, inputs=inputs) as run:
        features, table = open_region_features(embedded), read_table(pairs, TRAINING_PAIRS)
        positions, rng = features.positions, np.random.default_rng([section.seed, BOOTSTRAP])
        keys_a, keys_b = (Texts(table[side]) for side in ("image_a", "image_b"))
        pairs_of = by_split(table, region_cosines(features, keys_a, keys_b))
        ways = variants_of(section.fit_on, section.non_negative, pairs_of)
        tried = fit_variants(ways, positions, pairs_of, section.strengths)
        chosen = best_variant(ways, tried)
        used = pairs_of[chosen.fit_on]
        fits = fit_combinations(positions, used, section.strengths, section.num_bootstrap, rng, chosen)
        write_region_fits(out / "weights.json", fits)
        write_variants(out / "variants.json", tried)
        with atomic_file(out / "weight_map.png") as partial:
            partial.write_bytes(draw_weight_maps(fits))
        metrics = fit_summary(positions, used, fits) | variants_summary(tried, chosen)
        write_json(out / "metrics.json", metrics)
        run.log_metrics({f"{name}/{key}": value for name, row in metrics.items() for key, value in row.items()})
        run.log_metrics(weight_figures(fits))
        run.set_tags({"variant": chosen.name})
        for name in ("weights.json", "variants.json", "weight_map.png"):
            run.log_artifact(out / name)


if __name__ == "__main__":
    run_stage(main)
