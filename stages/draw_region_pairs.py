"""draw_region_pairs@entry: the pairs of images that region weights are fitted on and chosen by."""

import logging
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import read_table, write_table
from pipeline_lib.core.texts import Texts
from pipeline_lib.data.shards.images import is_image
from pipeline_lib.data.sources.shared.training_pairs import draw_training_pairs
from pipeline_lib.params.load import read_entry
from pipeline_lib.params.regions import RegionWeights
from pipeline_lib.schemas.shard_index import SHARD_INDEX
from pipeline_lib.schemas.training_pairs import TRAINING_PAIRS
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage

log = logging.getLogger("face_verifier")

USED = {"num_pairs", "num_cross_validation_folds", "seed", "fit_on", "non_negative"}


def main(
    weights: Annotated[str, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Draw them from the aligned images, so that only images in a pair need region features."""
    section = read_entry("regions.weights", weights, RegionWeights)
    used = section.model_dump(include=USED)
    index = aligned / "index.parquet"
    logged = {"regions": {"weights": {weights: used}}}
    with stage_run(f"draw_region_pairs@{weights}", params=logged, inputs={"aligned_index": index}) as run:
        images = read_table(index, SHARD_INDEX)
        images = images.filter(is_image(images))
        image_ids, identities, splits = (Texts(images[column]) for column in ("image_id", "identity", "split"))
        num_folds, rng = section.num_cross_validation_folds, np.random.default_rng(section.seed)
        drawn = image_ids, identities, splits, section.num_pairs, num_folds, rng
        parts = [draw_training_pairs(*drawn)] if section.chooses or "train" in section.fit_on else []
        if section.chooses or "val" in section.fit_on:
            try:
                parts.append(draw_training_pairs(*drawn, "val"))
            except DataError as error:
                if "train" not in section.fit_on:
                    raise
                log.warning("%s is fitted on training people alone, as its first non_negative says: %s", weights, error)
        pairs = pa.concat_tables(parts)
        write_table(out, pairs, TRAINING_PAIRS)
        run.log_metrics({"num_pairs": pairs.num_rows})


if __name__ == "__main__":
    run_stage(main)
