"""What every face network offers, whatever its layers."""

import abc
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipeline_lib.networks.backbones.shared.spec import NetworkSpec


class FaceNetwork(nn.Module, abc.ABC):
    """Base of the backbones: images to embeddings and to one vector for each place of the face.

    Attributes:
        spec: the shape this network was built from.
        grid: int64 (K,4), x y w h in px of each vector of `patch_features` in the input image.
        additive: whether the embedding is the mean of vectors of single patches (`additive_patches`), so that a cosine of
            two faces is a sum over pairs of their patches (RRFNet eq. 8).
        in_pairs: whether it compares two images (shared.pair_network): it learns from pairs, whose images
            stand in rows 2i and 2i+1 of a batch.
        taught_by: the network whose embeddings it learned to give; None for one that learned from labels.
    """

    spec: NetworkSpec
    grid: npt.NDArray[np.int64]
    additive = False
    in_pairs = False
    taught_by: str | None = None

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec

    @abc.abstractmethod
    def forward_with_patches(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (B,D) and patch vectors (B,K,C) of images (B,3,S,S) in one pass; see forward, patch_features."""

    def forward(self, images: Tensor) -> Tensor:
        """Embed images.

        Args:
            images: float32 (B,3,S,S), RGB in [-1,1] = rgb / 127.5 - 1, S = spec.input_px, any memory format.

        Returns:
            float32 (B,D), not normalised.
        """
        return self.forward_with_patches(images)[0]

    def forward_with_loss(self, *inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """In training: the embeddings that `forward` makes of its arguments, which the head judges, and a loss of the network's
        own that is added to the head's, float32 scalar, the mean over the batch; None of a network that has none.

        A network in pairs is also given the labels, last; its embeddings are those of each image beside the other of its pair.
        """
        return self(*inputs), None

    def patch_features(self, images: Tensor) -> Tensor:
        """One vector for each box of `grid`: (B,K,C), not normalised; C differs between architectures."""
        return self.forward_with_patches(images)[1]

    def additive_patches(self, patches: Tensor) -> Tensor:
        """Of an additive network in eval mode, the vectors whose mean over K is the embedding, up to float32 sums.

        The map may be affine: where mirrored images are added, map each image's patches and add then, not before.

        Args:
            patches: float (...,K,C), patch vectors of one image each.

        Returns:
            (...,K,D).
        """
        raise NotImplementedError(f"{type(self).__name__} is not additive")

    def frozen_networks(self) -> "Mapping[str, FaceNetwork]":
        """The networks that this one stands on, by name; none unless it is of networks/over."""
        return {}

    def draw(self, rng: np.random.Generator) -> npt.NDArray[np.int64] | npt.NDArray[np.float32] | None:
        """What is random of one training sample, an array of one shape for all, which the network is given beside the images:
        the patches that are not masked (RRFNet), noise (networks.over.fusion); None of a network with nothing random.
        """
        return None


def cell_grid(rows: int, columns: int, cell_px: int, left_px: int = 0, top_px: int = 0) -> npt.NDArray[np.int64]:
    """Boxes of a feature map's cells, row by row: int64 (rows*columns,4), x y w h px, from (left_px, top_px) on.

    A cell's box is its share of the image, not its receptive field, which is wider.
    """
    y, x = np.divmod(np.arange(rows * columns, dtype=np.int64), columns)
    side = np.full_like(x, cell_px)
    return np.stack([left_px + cell_px * x, top_px + cell_px * y, side, side], axis=1)


def scaled_channels(num: int, width: float) -> int:
    """`width` times as many channels, rounded to a multiple of 8 (at least 8): the granule of CPU and GPU kernels."""
    return max(8, 8 * round(num * width / 8))


def cells(feature_map: Tensor) -> Tensor:
    """A feature map (B,C,H,W) as one vector a cell, row by row: (B,H*W,C)."""
    return feature_map.flatten(2).transpose(1, 2)


def channels_last(images: Tensor) -> Tensor:
    """The same images in channels_last memory, at which the CPU's convolutions are twice as fast (DESIGN rule 9)."""
    return images.contiguous(memory_format=torch.channels_last)
