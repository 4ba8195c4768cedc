"""Embeddings of occluded faces by an RRFNet, of which only the patches that an occluder touches are computed."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline_lib.data.patches.cut import cut_patches
from pipeline_lib.networks.backbones.shared.rrfnet import RRFNet
from pipeline_lib.why.explanation.shared.occluders import BLACK, Squares


def embed_occluded(network: RRFNet, image: Tensor, squares: Squares, images_per_batch: int) -> Tensor:
    """Embed one face under each of many squares.

        F(o) = F + 1/K sum over the patches i that o touches of (f_i(o) - f_i),   F = 1/K sum_i f_i       (RRFNet eq. 3)

    Args:
        network: in eval mode.
        image: float32 (3, 112, 112) in network space, on the network's device.
        images_per_batch: as many times K patches go through the network at once.

    Returns:
        float32 (N, D), equal to network(occluded image) up to rounding.
    """
    side, num_patches = network.patches.side_px, len(network.grid)
    patches = cut_patches(image[None], network.positions, side)[0]
    clean: Tensor = network.backbone(patches).float()
    found = clean.mean(dim=0).repeat(len(squares), 1)
    rows = torch.from_numpy(touched(network.grid, squares)).to(image.device)
    places = torch.arange(side, device=image.device)
    for first in range(0, len(rows), images_per_batch * num_patches):
        part = rows[first : first + images_per_batch * num_patches]
        square, patch = part[:, 0], part[:, 1]
        columns, lines = ((places >= part[:, 2:4, None]) & (places < part[:, 4:, None])).unbind(dim=1)
        blank = (lines[:, :, None] & columns[:, None, :])[:, None]
        changes = network.backbone(patches[patch].masked_fill(blank, BLACK)).float() - clean[patch]
        found.index_add_(0, square, changes / num_patches)
    return found


def touched(grid: npt.NDArray[np.int64], squares: Squares) -> npt.NDArray[np.int64]:
    """Which patches each square touches, and what of them it covers.

    Args:
        grid: int64 (K, 4), x y w h px, patches of one size.

    Returns:
        int64 (M, 6), a row a square and a patch that share pixels: square, patch, and in the patch x y of the first
        pixel that is covered and x y after the last.
    """
    corners, side = grid[None, :, :2], grid[0, 2]
    first = np.clip(squares[:, None, :2] - corners, 0, side)
    last = np.clip(squares[:, None, :2] + squares[:, None, 2:] - corners, 0, side)
    square, patch = np.nonzero((first < last).all(axis=2))
    return np.concatenate([np.stack([square, patch], axis=1), first[square, patch], last[square, patch]], axis=1)
