"""embed@network: aligned images and occluded queries to embeddings and patch features."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.files import atomic_dir
from pipeline_lib.core.tables import read_table
from pipeline_lib.core.world import current_world
from pipeline_lib.networks.backbones.shared.checkpoints import load_network
from pipeline_lib.networks.embedding.extract import Floats, Images, embed_images
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.embed_shards import embed_shards, query_rows
from pipeline_lib.networks.embeddings.store import EmbeddingWriter
from pipeline_lib.params.load import load_params
from pipeline_lib.schemas.occlusions import OCCLUSIONS
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage

BATCHES_PER_CHUNK = 4


def main(
    network: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    occluded: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Embed every aligned image and every occluded query; patch features only of the test split and the queries."""
    params = load_params().embed
    logged = {"embed": {"batch_size": params.batch_size, "mirror": params.mirror}}
    inputs = {"network": network, "aligned": aligned, "occluded": occluded}
    with stage_run(f"embed@{network.name}", params=logged, inputs=inputs) as run:
        model = load_network(network).to(current_world().device)
        clean, occluded_images = ShardImages(aligned), ShardImages(occluded)
        drawn = read_table(occluded / "occlusions.parquet", OCCLUSIONS).to_pylist()
        kind_of_query = {row["key"]: row["kind"] for row in drawn if row["purpose"] == "query"}
        rows, kinds = query_rows(occluded_images, kind_of_query)

        def embed(images: Images) -> tuple[Floats, Floats]:
            return embed_images(model, images, params.mirror, params.batch_size)

        vectors, patches = embed(clean.read([]))
        chunk = BATCHES_PER_CHUNK * params.batch_size
        is_test = [split == "test" for split in clean.splits]
        nothing = [None] * len(clean)
        dim, patch_dim = vectors.shape[1], patches.shape[2]
        with atomic_dir(out) as folder, EmbeddingWriter(folder, dim, model.grid, patch_dim) as writer:
            embed_shards(writer, clean, range(len(clean)), nothing, is_test, embed, chunk)
            embed_shards(writer, occluded_images, rows, kinds, [True] * len(rows), embed, chunk)
        run.log_metrics({"num_embedded": len(clean) + len(rows), "num_with_patches": sum(is_test) + len(rows)})


if __name__ == "__main__":
    run_stage(main)
