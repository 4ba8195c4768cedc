"""Worlds that embed two small sets and write them: `embed_worker.py SETS OUT SIZE..`, each world into OUT/SIZE."""

import json
import multiprocessing
import os
import socket
import sys
from pathlib import Path

from fitted_networks import SPECS, network

from pipeline_lib.core.world import process_group
from pipeline_lib.networks.embedding.extract import face_features
from pipeline_lib.networks.embedding.folded import folded
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings import duplicate_search
from pipeline_lib.networks.embeddings.embed_shards import Part, embed_shards

BATCH_SIZE = 4


def embed(sets: Path, out: Path) -> None:
    """Images 1 to 18 (five batches, the last of two) and two occluded ones of `sets`, with patches; near-duplicates."""
    with process_group() as world:
        clean, occluded = ShardImages(sets / "align"), ShardImages(sets / "occlude")
        model = folded(network(SPECS["rrfnet56"]))
        parts = [Part(clean, range(1, 19)), Part(occluded, [2, 0], ["crop", "sunglasses"])]
        features = face_features(model, mirror=True, with_patches=True)
        embed_shards(out, parts, features, model.grid, BATCH_SIZE, world)
        duplicate_search.MOST_COPIED = 5  # a batch and one more
        duplicate_search.find_near_duplicates(
            out, face_features(model, mirror=True, with_patches=False), clean, BATCH_SIZE, world
        )


def run_rank(sets: Path, out: Path, rank: int, size: int, port: int) -> None:
    """Embed as one rank of a world, in a process of its own."""
    os.environ |= {"WORLD_SIZE": str(size), "RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    embed(sets, out)


def run_world(sets: Path, out: Path, size: int) -> list[int | None]:
    """Run every rank in a fork of this process, which has paid for the imports once; their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    ranks = [context.Process(target=run_rank, args=(sets, out, rank, size, port)) for rank in range(size)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    return [process.exitcode for process in ranks]


if __name__ == "__main__":
    sets, out, *sizes = sys.argv[1:]
    print(json.dumps([run_world(Path(sets), Path(out, size), int(size)) for size in sizes]))
