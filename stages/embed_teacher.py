"""embed_teacher@network: the training images and their mirror images to what students are to give."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.tables import read_table
from pipeline_lib.data.shards.digest import shards_digest, training_images
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.embed_shards import Part, embed_shards
from pipeline_lib.networks.embeddings.teacher import view_features, view_grid, write_mean
from pipeline_lib.schemas.shard_index import SHARD_INDEX
from stages.common import run_stage
from stages.common_embedding import fits, inference_network, ranked_stage


def main(
    network: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Embed both views of every aligned image of split train, and keep their mean."""
    with ranked_stage(f"embed_teacher@{network.name}", {}, {"network": network, "aligned": aligned}) as ranked:
        images = ShardImages(aligned)
        part = Part(images, [row for row, split in enumerate(images.splits) if split == "train"])
        embed = view_features(inference_network(network, ranked.world))
        embed_shards(out, [part], embed, view_grid(), ranked.batch_size, ranked.world)
        if ranked.world.is_main:
            seen = training_images(read_table(aligned / "index.parquet", SHARD_INDEX))
            write_mean(out, shards_digest([seen]))
        ranked.log_metrics({"num_embedded": len(part.rows)})


if __name__ == "__main__":
    run_stage(main, fits)
