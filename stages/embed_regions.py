"""embed_regions: every aligned image through the region networks of all positions (RRFNet, Approach A)."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pipeline_lib.core.files import atomic_dir
from pipeline_lib.core.world import current_world
from pipeline_lib.data.patches.grid import parse_region
from pipeline_lib.networks.backbones.shared.checkpoints import load_network
from pipeline_lib.networks.embedding.extract import Floats, Images, embed_region_images
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.embed_shards import embed_shards
from pipeline_lib.networks.embeddings.store import EmbeddingWriter
from pipeline_lib.params.load import load_params
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage

BATCHES_PER_CHUNK = 4


def main(
    regions: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Write the K region features of each image as its patches; there is no vector of the whole face (dimension 0)."""
    params = load_params()
    batch_size, positions = params.embed.batch_size, params.regions.all_positions
    folders = params.regions.folders
    logged = {"embed": {"batch_size": batch_size}, "regions": {"positions": positions}}
    with stage_run("embed_regions", params=logged, inputs={"regions": regions, "aligned": aligned}) as run:
        device = current_world().device
        networks = {parse_region(name): load_network(regions / folders[name]).to(device) for name in positions}
        grid = np.array([(region.x, region.y, region.size_px, region.size_px) for region in networks], np.int64)
        images = ShardImages(aligned)

        def embed(chunk: Images) -> tuple[Floats, Floats]:
            return np.zeros((len(chunk), 0), np.float32), embed_region_images(networks, chunk, batch_size)

        patch_dim = embed(images.read([]))[1].shape[2]
        with atomic_dir(out) as folder, EmbeddingWriter(folder, 0, grid, patch_dim) as writer:
            everything = [True] * len(images)
            nothing = [None] * len(images)
            rows = range(len(images))
            embed_shards(writer, images, rows, nothing, everything, embed, BATCHES_PER_CHUNK * batch_size)
        run.log_metrics({"num_embedded": len(images), "num_positions": len(positions)})


if __name__ == "__main__":
    run_stage(main)
