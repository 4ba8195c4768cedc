"""From aligned images to embeddings and patch features, with the mirrored image's added."""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.geometry import FACE_PX, FACE_SHAPE
from pipeline_lib.core.pixels import network_scale
from pipeline_lib.data.patches.grid import Region
from pipeline_lib.networks.backbones.shared.network import FaceNetwork

Floats = npt.NDArray[np.float32]
Images = npt.NDArray[np.uint8]
# uint8 (B,112,112,3), RGB -> on the device, float32 (B,D) vectors and (B,K,C) patch features; B >= 1.
Embed = Callable[[Images], tuple[Tensor, Tensor]]


def face_features(network: FaceNetwork, mirror: bool, with_patches: bool) -> Embed:
    """What one network makes of a batch.

    e = e(x) + e(mirror x); p_i = p_i(x) + p_m(i)(mirror x), where m(i) is the patch that mirroring moves to place i
    (mirrored_patches). The mean of an RRFNet's patches is therefore its embedding with and without `mirror` (METHODS, sections
    4 and 5).

    Args:
        network: in eval mode, on the device it computes on.
        mirror: add the features of the mirrored image.
        with_patches: patch features in the order of `network.grid`; none (K = C = 0) otherwise.

    Raises:
        DataError: there are patch features to mirror, and the grid is not its own mirror image.
    """
    order = mirrored_patches(network.grid) if mirror and with_patches else None

    @torch.inference_mode()
    def embed(images: Images) -> tuple[Tensor, Tensor]:
        x = to_network_input(images, network)
        vectors, patches = _features(network, x)
        if mirror:
            mirrored_vectors, mirrored_patches_ = _features(network, x.flip(3))
            vectors = vectors + mirrored_vectors
            patches = patches + mirrored_patches_[:, order] if order is not None else patches
        return vectors, patches if with_patches else patches.new_zeros(len(x), 0, 0)

    return embed


def region_features(networks: Mapping[Region, FaceNetwork]) -> Embed:
    """What the networks of all unique regions make of a batch: no vectors (D = 0), and as patches one a region.

    F(x,y) = f(P(x,y)) + f(mirror P(112-w-x,y)) (RRFNet III-A; METHODS, section 4, approach A). The right-hand partner enters
    its network mirrored, as it did in training, so one network serves both places.

    Args:
        networks: at least one, of input size region.size_px, all with the same D; their order is that of K.

    Raises:
        DataError: two networks differ in their D.
    """
    if len({network.spec.embedding_dim for network in networks.values()}) != 1:
        found = {region.name: network.spec.embedding_dim for region, network in networks.items()}
        raise DataError("Region networks differ in their embedding length.", got=found, allowed="one length")

    @torch.inference_mode()
    def embed(images: Images) -> tuple[Tensor, Tensor]:
        faces = to_network_input(images, next(iter(networks.values())))
        columns = []
        for region, network in networks.items():
            both = torch.cat([_cut(faces, region), _cut(faces, region.mirror).flip(3)])
            left, right = _vectors(network, both).chunk(2)
            columns.append(left + right)
        return faces.new_zeros(len(faces), 0), torch.stack(columns, dim=1)

    return embed


def embed_images(
    network: FaceNetwork, images: Images, mirror: bool, batch_size: int, with_patches: bool = True
) -> tuple[Floats, Floats]:
    """Embed aligned images that are in memory; see face_features.

    Args:
        network: in eval mode, on the device it computes on.
        images: uint8 (N, 112, 112, 3), RGB; N may be 0.
        mirror: add the features of the mirrored image.
        batch_size: images a forward pass.
        with_patches: see face_features.

    Returns:
        float32 (N, D) embeddings, not normalised, and float32 (N, K, C) patch features in the order of `network.grid`.

    Raises:
        DataError: the images have another shape or type, or the patch grid is not its own mirror image.
    """
    return _embed_all(face_features(network, mirror, with_patches), images, batch_size)


def embed_region_images(networks: Mapping[Region, FaceNetwork], images: Images, batch_size: int) -> Floats:
    """Features of every unique region of aligned images that are in memory, float32 (N, K, D); see region_features.

    Raises:
        DataError: the images have another shape or type, or two networks another D.
    """
    return _embed_all(region_features(networks), images, batch_size)[1]


def mirrored_patches(grid: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each patch i of a grid, the index m(i) of the patch at its mirrored place.

    A grid in the middle of the image has one exactly there, at (112-w-x, y). The middle of another one, such as the cells of
    unpadded convolutions (dlib_resnet), is off by less than half a step between columns, and its boxes are rounded: it is
    mirrored about its own middle, and m(i) is the patch nearest to that place. A mirrored image then still has the same sums
    p_i + p_m(i) at mirrored places; each is of two places, whose middle is where a centred grid has its patch.

    Args:
        grid: int64 (K, 4), x y w h in px.

    Raises:
        DataError: the grid's middle is further off, or a place has no patch within half a patch, or not one of its own.
    """
    columns, ends = np.unique(grid[:, 0]), grid[:, 0] + grid[:, 2]
    both_ends = columns[0] + ends.max()
    step = np.diff(columns).min() if len(columns) > 1 else grid[0, 2]
    places = 2 * grid[:, :2] + grid[:, 2:]  # twice the centres
    mirrored = places * (-1, 1) + (2 * both_ends, 0)
    apart = np.abs(mirrored[:, None] - places)
    found: npt.NDArray[np.int64] = apart.sum(axis=2).argmin(axis=1)
    lost = (apart[np.arange(len(grid)), found] >= grid[:, 2:]).any(axis=1) | (found[found] != np.arange(len(grid)))
    if abs(both_ends - FACE_PX) >= step or lost.any():
        x, y, w, h = grid[lost.argmax()].tolist()
        raise DataError(
            "The patch grid is not its own mirror image; embed it with mirror: false.", got=(FACE_PX - w - x, y, w, h)
        )
    return found


def to_network_input(images: Images, network: torch.nn.Module) -> Tensor:
    """uint8 (B, S, S, 3) RGB to float32 (B, 3, S, S) = (rgb/255 - 0.5)/0.5, channels_last, on the network's device."""
    device = next(network.parameters()).device
    x = torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float()
    return network_scale(x.contiguous(memory_format=torch.channels_last))


def shapes(embed: Embed) -> tuple[int, int, int]:
    """D, K and C of what `embed` gives, from one black image: not every network takes an empty batch."""
    vectors, patches = embed(np.zeros((1, *FACE_SHAPE), np.uint8))
    return vectors.shape[1], patches.shape[1], patches.shape[2]


def _embed_all(embed: Embed, images: Images, batch_size: int) -> tuple[Floats, Floats]:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != FACE_SHAPE:
        got = f"{images.dtype} {images.shape}"
        raise DataError("Images to embed have another shape or type.", got=got, allowed="uint8 (N, 112, 112, 3)")
    if not len(images):
        dim, num_patches, patch_dim = shapes(embed)
        return np.zeros((0, dim), np.float32), np.zeros((0, num_patches, patch_dim), np.float32)
    parts = [embed(images[first : first + batch_size]) for first in range(0, len(images), batch_size)]
    vectors, patches = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
    return vectors, patches


def _features(network: FaceNetwork, x: Tensor) -> tuple[Tensor, Tensor]:
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=x.is_cuda):
        vectors, patches = network.forward_with_patches(x)
    return vectors.float(), patches.float()


def _vectors(network: FaceNetwork, x: Tensor) -> Tensor:
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=x.is_cuda):
        vectors: Tensor = network(x)
    return vectors.float()


def _cut(images: Tensor, region: Region) -> Tensor:
    return images[:, :, region.y : region.y + region.size_px, region.x : region.x + region.size_px]
