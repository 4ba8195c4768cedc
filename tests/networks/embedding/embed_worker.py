"""A rank that embeds two small sets and writes them: `embed_worker.py SETS OUT`."""

import sys
from pathlib import Path

from fitted_networks import SPECS, network

from pipeline_lib.core.world import process_group
from pipeline_lib.networks.embedding.extract import face_features
from pipeline_lib.networks.embedding.folded import folded
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.embed_shards import Part, embed_shards

BATCH_SIZE = 4


def embed(sets: Path, out: Path) -> None:
    """Images 1 to 18 (five batches, the last of two) and two occluded ones of `sets`, with patches."""
    with process_group() as world:
        clean, occluded = ShardImages(sets / "align"), ShardImages(sets / "occlude")
        model = folded(network(SPECS["rrfnet56"]))
        parts = [Part(clean, range(1, 19)), Part(occluded, [2, 0], ["crop", "sunglasses"])]
        features = face_features(model, mirror=True, with_patches=True)
        embed_shards(out, parts, features, model.grid, BATCH_SIZE, world)


if __name__ == "__main__":
    embed(Path(sys.argv[1]), Path(sys.argv[2]))
