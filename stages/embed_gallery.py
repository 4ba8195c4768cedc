"""embed_gallery@network: clean test images, and their occluded versions as queries, to vectors and patch features, and the
other splits' mean features."""

from pathlib import Path
from typing import Annotated

import pyarrow.compute as pc
import typer

from pipeline_lib.core.tables import read_table
from pipeline_lib.networks.embedding.extract import face_features
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.embed_shards import Part, embed_shards, mean_features, query_rows
from pipeline_lib.networks.embeddings.means import write_means
from pipeline_lib.params.embed import Embed
from pipeline_lib.params.load import read_section
from pipeline_lib.schemas.occlusions import OCCLUSIONS
from stages.common import run_stage
from stages.common_embedding import fits, inference_network, ranked_stage


def main(
    network: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    occluded: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Embed the gallery (every clean test image) and the queries, and take the means of images that are neither."""
    section = read_section("embed", Embed)
    stage, logged = f"embed_gallery@{network.name}", {"embed": section.model_dump()}
    inputs = {"network": network, "aligned": aligned, "occluded": occluded}
    with ranked_stage(stage, logged, inputs) as ranked:
        clean, occluded_images = ShardImages(aligned), ShardImages(occluded)
        drawn = read_table(occluded / "occlusions.parquet", OCCLUSIONS)
        drawn = drawn.filter(pc.equal(drawn["purpose"], "query"))
        kind_of_query = dict(zip(*(drawn[name].to_pylist() for name in ("key", "kind")), strict=True))
        gallery = Part(clean, [row for row, split in enumerate(clean.splits) if split == "test"])
        queries = Part(occluded_images, *query_rows(occluded_images, kind_of_query))
        model = inference_network(network, ranked.world)
        embed = face_features(model, section.mirror, with_patches=True)
        embed_shards(out, [gallery, queries], embed, model.grid, ranked.batch_size, ranked.world)
        others = [row for row, split in enumerate(clean.splits) if split != "test"]
        means = mean_features(embed, clean, others, ranked.batch_size, ranked.world)
        if ranked.world.is_main:
            write_means(out, means)
        ranked.log_metrics({"num_gallery": len(gallery.rows), "num_queries": len(queries.rows)})


if __name__ == "__main__":
    run_stage(main, fits)
