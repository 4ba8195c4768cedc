"""From aligned images to embeddings and patch features, with the mirrored image's added."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.patches.grid import Region
from pipeline_lib.networks.backbones.shared.network import FaceNetwork

Floats = npt.NDArray[np.float32]
Images = npt.NDArray[np.uint8]
IMAGE_PX = 112


def embed_images(network: FaceNetwork, images: Images, mirror: bool, batch_size: int) -> tuple[Floats, Floats]:
    """Embed aligned images.

    e = e(x) + e(mirror x); p_i = p_i(x) + p_m(i)(mirror x), where m(i) is the patch that mirroring moves to place i.
    The mean of an RRFNet's patches is therefore its embedding with and without `mirror` (METHODS, sections 4 and 5).

    Args:
        network: in eval mode, on the device it computes on.
        images: uint8 (N, 112, 112, 3), RGB; N may be 0.
        mirror: add the features of the mirrored image.
        batch_size: images a forward pass.

    Returns:
        float32 (N, D) embeddings, not normalised, and float32 (N, K, C) patch features in the order of `network.grid`.

    Raises:
        DataError: the images have another shape or type, or the patch grid is not its own mirror image.
    """
    _check_images(images)
    if not len(images):  # one black image gives the shapes; not every network takes an empty batch
        embeddings_of_one, patches_of_one = embed_images(network, np.zeros((1, *images.shape[1:]), np.uint8), False, 1)
        return embeddings_of_one[:0], patches_of_one[:0]
    order = mirrored_patches(network.grid) if mirror else None
    embeddings, patches = [], []
    for first in range(0, len(images), batch_size):
        x = to_network_input(images[first : first + batch_size], network)
        embedding, patch = _features(network, x)
        if order is not None:
            mirrored_embedding, mirrored_patch = _features(network, x.flip(3))
            embedding, patch = embedding + mirrored_embedding, patch + mirrored_patch[:, order]
        embeddings.append(embedding.cpu().numpy())
        patches.append(patch.cpu().numpy())
    return np.concatenate(embeddings), np.concatenate(patches)


def embed_region_images(networks: Mapping[Region, FaceNetwork], images: Images, batch_size: int) -> Floats:
    """Features of every unique region (RRFNet III-A; METHODS, section 4, approach A).

    F(x,y) = f(P(x,y)) + f(mirror P(112-w-x,y)). The right-hand partner enters its network mirrored, as it did in
    training, so one network serves both places.

    Args:
        networks: one a unique region, of input size region.size_px, all with the same D; their order is that of K.
        images: uint8 (N, 112, 112, 3), RGB.
        batch_size: images a forward pass.

    Returns:
        float32 (N, K, D), not normalised.

    Raises:
        DataError: the images have another shape or type, or two networks another D.
    """
    _check_images(images)
    if not len(images):
        return embed_region_images(networks, np.zeros((1, *images.shape[1:]), np.uint8), 1)[:0]
    columns = []
    for region, network in networks.items():
        left = _cut(images, region)
        right = _cut(images, region.mirror)[:, :, ::-1]
        columns.append(_embed_only(network, left, batch_size) + _embed_only(network, right, batch_size))
    if len({column.shape[1] for column in columns}) != 1:
        found = {region.name: column.shape[1] for region, column in zip(networks, columns, strict=True)}
        raise DataError("Region networks differ in their embedding length.", got=found, allowed="one length")
    return np.stack(columns, axis=1)


def mirrored_patches(grid: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each patch i of a grid, the index m(i) of the patch at its mirrored place (112-w-x, y).

    Args:
        grid: int64 (K, 4), x y w h in px.

    Raises:
        DataError: a place has no patch.
    """
    where = {tuple(box): index for index, box in enumerate(grid.tolist())}
    mirrored = [(IMAGE_PX - w - x, y, w, h) for x, y, w, h in grid.tolist()]
    missing = [box for box in mirrored if box not in where]
    if missing:
        raise DataError("The patch grid is not its own mirror image; embed it with mirror: false.", got=missing[0])
    return np.array([where[box] for box in mirrored], dtype=np.int64)


def to_network_input(images: Images, network: torch.nn.Module) -> torch.Tensor:
    """uint8 (B, S, S, 3) RGB to float32 (B, 3, S, S) = (rgb/255 - 0.5)/0.5, channels_last, on the network's device."""
    device = next(network.parameters()).device
    x = torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float()
    return x.contiguous(memory_format=torch.channels_last).div_(127.5).sub_(1.0)


@torch.inference_mode()
def _features(network: FaceNetwork, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=x.is_cuda):
        embedding, patches = network.forward_with_patches(x)
    return embedding.float(), patches.float()


@torch.inference_mode()
def _embed_only(network: FaceNetwork, images: Images, batch_size: int) -> Floats:
    parts = []
    for first in range(0, len(images), batch_size):
        x = to_network_input(images[first : first + batch_size], network)
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=x.is_cuda):
            parts.append(network(x).float().cpu().numpy())
    return np.concatenate(parts)


def _cut(images: Images, region: Region) -> Images:
    return images[:, region.y : region.y + region.size_px, region.x : region.x + region.size_px]


def _check_images(images: Images) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (IMAGE_PX, IMAGE_PX, 3):
        got = f"{images.dtype} {images.shape}"
        raise DataError("Images to embed have another shape or type.", got=got, allowed="uint8 (N, 112, 112, 3)")
