"""build_anchors@entry: the anchor set of DAM-R and the regressor of DAM-L, of one network."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pipeline_lib.core.cosine import unit
from pipeline_lib.core.files import atomic_dir, write_json
from pipeline_lib.core.world import current_world
from pipeline_lib.matching.dam.anchors import ANCHORS_FILE, Anchors, check_strangers, choose_anchors, write_anchors
from pipeline_lib.matching.dam.dam import log_lid, nearest_cosines
from pipeline_lib.matching.dam.lid import LID_FOLDER, fit_lid, write_lid
from pipeline_lib.networks.backbones.shared.checkpoints import load_network
from pipeline_lib.networks.embedding.batches import embed_rows
from pipeline_lib.networks.embedding.folded import folded
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.params.anchors import Anchors as Section
from pipeline_lib.params.embed import Embed
from pipeline_lib.params.load import read_entry, read_section
from pipeline_lib.params.machine import load_machine
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage


def main(
    anchors: Annotated[str, typer.Option()],
    network: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Choose one image an identity of the train split, and regress G on all images of that split."""
    section, embed = read_entry("anchors", anchors, Section), read_section("embed", Embed)
    logged = {"anchors": {anchors: section.model_dump()}, "embed": embed.model_dump()}
    inputs = {"network": network, "aligned": aligned}
    with stage_run(f"build_anchors@{anchors}", params=logged, inputs=inputs) as run:
        images = ShardImages(aligned)
        training = np.array([split == "train" for split in images.splits])
        rng = np.random.default_rng(section.seed)
        rows = choose_anchors(images.identities, training, section.max_anchors, rng)
        model = folded(load_network(network)).to(current_world().device)
        used = np.flatnonzero(training)
        vectors, _ = embed_rows(model, images, used.tolist(), embed.mirror, load_machine().images_per_batch)
        found = Anchors(
            [images.image_ids[row] for row in rows.tolist()],
            [images.identities[row] for row in rows.tolist()],
            unit(vectors[np.searchsorted(used, rows)]),
            network=network.name,
            scale=section.scale,
            num_neighbours=section.num_neighbours,
        )
        splits = zip(images.identities, images.splits, strict=True)
        check_strangers(found, {identity for identity, split in splits if split != "train"})
        write_anchors(out / ANCHORS_FILE, found)

        own = found.of([images.identities[row] for row in used.tolist()])
        log_lids = log_lid(nearest_cosines(vectors, found.vectors, section.num_neighbours, left_out=own), section.scale)
        regressor = fit_lid(vectors, log_lids, section.scale, section.num_neighbours, section.lid, section.seed)
        with atomic_dir(out / LID_FOLDER) as folder:
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
