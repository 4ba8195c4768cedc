"""build_anchors: the anchor set of DAM-R and the regressor of DAM-L."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pipeline_lib.core.cosine import unit
from pipeline_lib.core.files import atomic_dir, write_json
from pipeline_lib.matching.dam.anchors import Anchors, check_strangers, choose_anchors, write_anchors
from pipeline_lib.matching.dam.dam import log_lid, nearest_cosines
from pipeline_lib.matching.dam.lid import LidSettings, fit_lid, write_lid
from pipeline_lib.networks.embeddings.store import read_embeddings
from pipeline_lib.params.load import load_params
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage


def main(embedded: Annotated[Path, typer.Option()], out: Annotated[Path, typer.Option()]) -> None:
    """Choose one image an identity of the train split, and regress G on all clean images of that split."""
    params = load_params().dam
    with stage_run("build_anchors", params={"dam": params.model_dump()}, inputs={"embedded": embedded}) as run:
        images = read_embeddings(embedded)
        clean = np.array([kind is None for kind in images.kinds])
        training = clean & np.array([split == "train" for split in images.splits])
        rng = np.random.default_rng(params.seed)
        rows = choose_anchors(images.identities, training, params.max_anchors, rng).tolist()
        names = [images.image_ids[row] for row in rows], [images.identities[row] for row in rows]
        anchors = Anchors(*names, unit(images.vectors[rows]))
        splits = zip(images.identities, images.splits, strict=True)
        check_strangers(anchors, {identity for identity, split in splits if split != "train"})
        write_anchors(out / "anchors.arrow", anchors)

        vectors = images.vectors[training]
        own = anchors.of([images.identities[row] for row in np.flatnonzero(training).tolist()])
        log_lids = log_lid(nearest_cosines(vectors, anchors.vectors, params.num_neighbours, left_out=own), params.scale)
        lid = params.lid
        settings = LidSettings(lid.hidden_dim, lid.num_steps, lid.batch_size, lid.learning_rate, lid.decay_steps)
        regressor = fit_lid(vectors, log_lids, params.scale, params.num_neighbours, settings, params.seed)
        with atomic_dir(out / "lid") as folder:
            write_lid(folder, regressor)

        lids, estimates = np.exp(log_lids), np.exp(regressor.log_lid(vectors))
        # lid_std is the error of guessing the mean: what lid_rmse has to be held against.
        metrics = {
            "num_anchors": len(rows),
            "num_training_images": len(lids),
            "lid_mean": float(lids.mean()),
            "lid_std": float(lids.std()),
            "lid_rmse": float(np.sqrt(np.mean((estimates - lids) ** 2))),
        }
        write_json(out / "metrics.json", metrics)
        run.log_metrics(metrics)


if __name__ == "__main__":
    run_stage(main)
