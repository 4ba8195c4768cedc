"""embed@network: the images of pairs to vectors, on all processes or GPUs of the machine."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.networks.backbones.shared.checkpoints import weights_digest
from pipeline_lib.networks.embedding.extract import face_features
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embedding.needed_rows import rows_of_pairs
from pipeline_lib.networks.embeddings.embed_shards import Part, embed_shards
from pipeline_lib.params.embed import Embed
from pipeline_lib.params.load import read_section
from stages.common import run_stage
from stages.common_embedding import fits, inference_network, ranked_stage


def main(
    network: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    pairs: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Embed the aligned images that any protocol's pairs name; patch features are kept of networks that compare them."""
    section = read_section("embed", Embed)
    inputs = {"network": network, "aligned": aligned, "pairs": pairs}
    stage = "embed_over" if network.parent.name == "networks_over" else "embed"
    with ranked_stage(f"{stage}@{network.name}", {"embed": section.model_dump()}, inputs) as ranked:
        images = ShardImages(aligned)
        part = Part(images, rows_of_pairs(images, pairs))
        model = inference_network(network, ranked.world)
        with_patches = model.in_pairs or network.name in section.patches
        embed = face_features(model, section.mirror, with_patches)
        grid = model.grid if with_patches else None
        embed_shards(out, [part], embed, grid, ranked.batch_size, ranked.world, weights_digest(network))
        ranked.log_metrics({"num_embedded": len(part.rows)})


if __name__ == "__main__":
    run_stage(main, fits)
