"""embed_gallery@network: clean test images, and occluded, profile and adversarial queries, to vectors and patch features, and
the other splits' mean features; near-duplicates among all of them."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.tables import read_table
from pipeline_lib.data.faces.detection.landmarks68 import Landmarks68
from pipeline_lib.networks.embedding.extract import face_features
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.duplicate_search import find_near_duplicates
from pipeline_lib.networks.embeddings.embed_shards import Part, embed_shards, mean_features, write_landmarks
from pipeline_lib.networks.embeddings.gallery_and_queries import gallery_rows, query_part
from pipeline_lib.networks.embeddings.means import write_means
from pipeline_lib.params.embed import Embed
from pipeline_lib.params.galleries import Gallery
from pipeline_lib.params.load import read_entry, read_section
from pipeline_lib.schemas.occlusions import OCCLUSIONS
from stages.common import run_stage
from stages.common_embedding import fits, inference_network, ranked_stage


def main(
    network: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    occluded: Annotated[Path, typer.Option()],
    attacked: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Embed the gallery and the queries (OCCLUDED, and folders of ATTACKED), and take the means of images that are neither."""
    section, entry = read_section("embed", Embed), read_entry("galleries", network.name, Gallery)
    stage, logged = f"embed_gallery@{network.name}", {"embed": section.model_dump(), "gallery": entry.model_dump()}
    inputs = {"network": network, "aligned": aligned, "occluded": occluded, "attacked": attacked}
    with ranked_stage(stage, logged, inputs) as ranked:
        clean, drawn = ShardImages(aligned), read_table(occluded / "occlusions.parquet", OCCLUSIONS)
        gallery = Part(clean, gallery_rows(clean, drawn))
        sets = [occluded, *sorted(path.parent for path in attacked.glob("*/occlusions.parquet"))]
        queries = [query_part(folder) for folder in sets]
        model = inference_network(network, ranked.world)
        embed = face_features(model, section.mirror, with_patches=True)
        embed_shards(out, [gallery, *queries], embed, model.grid, ranked.batch_size, ranked.world)
        others = [row for row, split in enumerate(clean.splits) if split != "test"]
        if entry.near_duplicates:
            plain = face_features(model, section.mirror, with_patches=False)
            find_near_duplicates(out, plain, clean, ranked.batch_size, ranked.world)
        means = mean_features(embed, clean, others, ranked.batch_size, ranked.world)
        if ranked.world.is_main:
            write_means(out, means)
            if entry.landmarks:
                write_landmarks(out, [gallery, *queries], Landmarks68())
        ranked.log_metrics({"num_gallery": len(gallery.rows), "num_queries": sum(len(part.rows) for part in queries)})


if __name__ == "__main__":
    run_stage(main, fits)
