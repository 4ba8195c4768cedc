"""embed_region@position, embed_regions@group: images through the region networks of some positions (RRFNet, Approach A)."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.patches.grid import parse_region
from pipeline_lib.networks.embedding.extract import region_features
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embedding.needed_rows import rows_of_pairs, rows_of_training_pairs
from pipeline_lib.networks.embeddings.embed_shards import Part, embed_shards
from pipeline_lib.params.load import read_entries
from pipeline_lib.params.regions import RegionWeights
from stages.common import run_stage
from stages.common_embedding import fits, inference_network, ranked_stage


def main(
    networks: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    pairs: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Write the K region features of each image as its patches; there is no vector of the whole face (dimension 0).

    NETWORKS holds a folder a position. Images are those of pairs, and of the training pairs that region weights are fitted to.
    """
    weights = read_entries("regions.weights", RegionWeights)
    logged = {"regions": {"weights": {name: fit.model_dump() for name, fit in weights.items()}}}
    inputs = {"networks": networks, "aligned": aligned, "pairs": pairs}
    is_alone = (networks / networks.name).is_dir()
    with ranked_stage(f"embed_region{'' if is_alone else 's'}@{networks.name}", logged, inputs) as ranked:
        regions = [parse_region(path.name) for path in sorted(networks.iterdir()) if path.is_dir()]
        if not regions:
            raise DataError("There are no region networks; run their training stage.", where=networks)
        loaded = {region: inference_network(networks / region.name, ranked.world) for region in regions}
        grid = np.array([(region.x, region.y, region.size_px, region.size_px) for region in regions], np.int64)
        images = ShardImages(aligned)
        rows = sorted({*rows_of_pairs(images, pairs), *rows_of_training_pairs(images, weights.values())})
        embed_shards(out, [Part(images, rows)], region_features(loaded), grid, ranked.batch_size, ranked.world)
        ranked.log_metrics({"num_embedded": len(rows), "num_positions": len(regions)})


if __name__ == "__main__":
    run_stage(main, fits)
