"""Stored images embedded batch by batch: decoded ahead in threads, shared among ranks."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from pipeline_lib.core.ahead import load_ahead
from pipeline_lib.core.world import World
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.embedding.extract import Embed, Floats, Images, face_features, shapes
from pipeline_lib.networks.embedding.images import ShardImages

NUM_DECODERS = 4  # one reads and decodes some 1200 aligned faces a second (2-core reference machine)


class Readable(Protocol):
    """Where images are read by row: ShardImages, or what is made of them."""

    def read(self, rows: Sequence[int]) -> Images:
        """uint8 (len(rows), 112, 112, 3), RGB."""


def embed_rows(
    network: FaceNetwork,
    images: ShardImages,
    rows: Sequence[int],
    mirror: bool,
    batch_size: int,
    with_patches: bool = False,
) -> tuple[Floats, Floats]:
    """Embed some images of a shard set in this process.

    Args:
        network: in eval mode, on the device it computes on; folded (embedding.folded) where time counts.
        images: the shard set.
        rows: which images, at least one.
        mirror: add the features of the mirrored images.
        batch_size: images a forward pass.
        with_patches: whether patch features are kept.

    Returns:
        float32 (N, D), not normalised, and float32 (N, K, C) in the order of `network.grid`, K = C = 0 without patches.

    Raises:
        DataError: an image is unreadable, or see face_features.
    """
    embed = face_features(network, mirror, with_patches)
    alone = World(0, 0, 1, next(network.parameters()).device)
    batches = [rows[first : first + batch_size] for first in range(0, len(rows), batch_size)]
    parts = list(embedded_batches(embed, images, batches, alone))
    vectors, patches = (np.concatenate(column) for column in zip(*parts, strict=True))
    return vectors, patches


def embedded_batches(
    embed: Embed, images: Readable, batches: Sequence[Sequence[int]], world: World
) -> Iterator[tuple[Floats, Floats]]:
    """Features of every batch, in order, on rank 0; the other ranks embed their share and yield nothing.

    Batch i is embedded by rank i modulo the number of ranks, and a round of as many batches as ranks is gathered at a
    time, so memory holds two rounds. Batches are decoded ahead, and on a GPU the next one is begun before the last is
    copied to the host.

    Args:
        embed: see extract.Embed.
        images: the shard set.
        batches: rows of `images`.
        world: all ranks call this with the same arguments.

    Returns:
        float32 (B, D) and (B, K, C) a batch.

    Raises:
        DataError: an image is unreadable.
    """
    dim, num_patches, patch_dim = shapes(embed)
    largest = max(map(len, batches), default=0)
    loaded = load_ahead(images.read, batches[world.rank :: world.size], NUM_DECODERS)
    last: list[Tensor] = []
    for first in range(0, len(batches), world.size):
        sizes = [len(batch) for batch in batches[first : first + world.size]]
        flat = torch.zeros(0, dim + num_patches * patch_dim, device=world.device)
        if world.rank < len(sizes):
            vectors, patches = embed(next(loaded))
            flat = torch.cat([vectors, patches.flatten(1)], dim=1)
        gathered = _gathered(flat, sizes, largest, world)
        yield from (_on_host(part, dim, num_patches, patch_dim) for part in last)
        last = gathered
    yield from (_on_host(part, dim, num_patches, patch_dim) for part in last)


def _gathered(own: Tensor, sizes: list[int], largest: int, world: World) -> list[Tensor]:
    """The ranks' tensors (B, F) of `sizes` rows, on rank 0."""
    if world.size == 1:
        return [own]
    padded = own.new_zeros(largest, own.shape[1])
    padded[: len(own)] = own
    parts = [torch.empty_like(padded) for _ in range(world.size)] if world.is_main else None
    dist.gather(padded, parts)
    return [part[:size] for part, size in zip(parts or [], sizes, strict=False)]


def _on_host(flat: Tensor, dim: int, num_patches: int, patch_dim: int) -> tuple[Floats, Floats]:
    values = flat.cpu().numpy()
    return values[:, :dim], values[:, dim:].reshape(len(values), num_patches, patch_dim)
