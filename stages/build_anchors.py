"""build_anchors@entry: the anchors of DAM-R and the regressor of DAM-L, of one network."""

from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer

from pipeline_lib.core.cosine import Floats
from pipeline_lib.core.files import atomic_dir, write_json
from pipeline_lib.core.tables import write_table
from pipeline_lib.core.world import current_world
from pipeline_lib.matching.anchors.shared.anchors import ANCHORS_FILE, check_strangers, write_anchors
from pipeline_lib.matching.anchors.shared.kind import Inputs
from pipeline_lib.matching.anchors.shared.likeness import likeness
from pipeline_lib.matching.anchors.shared.measure import cosine_table, measure, training_table
from pipeline_lib.matching.anchors.shared.settings import anchor_kind
from pipeline_lib.matching.anchors.shared.training import training_faces
from pipeline_lib.matching.dam.lid import LID_FOLDER, write_lid
from pipeline_lib.matching.scores.shared.pairs import read_pairs
from pipeline_lib.networks.backbones.shared.checkpoints import load_network
from pipeline_lib.networks.embedding.extract import embed_images
from pipeline_lib.networks.embedding.folded import folded
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.params.align import Align
from pipeline_lib.params.anchors import Anchors as Section
from pipeline_lib.params.embed import Embed
from pipeline_lib.params.ingest import Ingest
from pipeline_lib.params.load import PARAMS_FILE, read_entry, read_section
from pipeline_lib.params.machine import load_machine
from pipeline_lib.schemas.anchor_cosines import ANCHOR_COSINES
from pipeline_lib.schemas.anchor_training import ANCHOR_TRAINING
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage


def main(
    anchors: Annotated[str, typer.Option()],
    network: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    embedded: Annotated[Path, typer.Option()],
    pairs: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Find anchors as the entry's kind does, regress G on the train split's faces, and say how like the pairs' faces they are."""
    entry, mirror = read_entry("anchors", anchors, Section), read_section("embed", Embed).mirror
    align, max_pixels = read_section("align", Align), read_section("ingest", Ingest).max_pixels
    kind, settings = anchor_kind(entry, f"{PARAMS_FILE}, anchors.{anchors}")
    logged = {"anchors": {anchors: entry.model_dump(by_alias=True)}, "embed": {"mirror": mirror}}
    inputs = {"network": network, "aligned": aligned, "embedded": embedded, "pairs": pairs}
    with stage_run(f"build_anchors@{anchors}", params=logged, inputs=inputs) as run:
        images, machine = ShardImages(aligned), load_machine()
        size, model = machine.images_per_batch, folded(load_network(network)).to(current_world().device)
        faces = training_faces(model, images, mirror, size)

        def embed(aligned_faces: npt.NDArray[np.uint8]) -> Floats:
            return embed_images(model, aligned_faces, mirror, size, with_patches=False)[0]

        given = Inputs(entry, network, faces, embed, size, align, max_pixels, machine.num_workers)
        found = kind.find(settings, given)
        chosen = found.anchors(given)
        splits = zip(images.identities, images.splits, strict=True)
        check_strangers(chosen, {identity for identity, split in splits if split != "train"})
        near = likeness(chosen, faces, embedded, read_pairs(pairs, aligned).by_protocol())
        write_anchors(out / ANCHORS_FILE, chosen)
        measured = measure(chosen, faces, entry.lid, entry.seed)
        with atomic_dir(out / LID_FOLDER) as folder:
            write_lid(folder, measured.regressor)
        write_table(out / "training.parquet", training_table(faces, measured, found.own_class), ANCHOR_TRAINING)
        write_table(out / "cosines.parquet", cosine_table(chosen, faces, entry.seed), ANCHOR_COSINES)
        figures = {"num_anchors": len(found.identities), **found.figures, **measured.figures()}
        write_json(out / "metrics.json", {**figures, "likeness": near})
        told = {name: value for name, value in figures.items() if value is not None}
        run.log_metrics(told | {f"likeness.{protocol}": one["auc"] for protocol, one in near.items()})


if __name__ == "__main__":
    run_stage(main)
