"""A pair of faces explained by an RRFNet: from two images to the terms, the maps and the embeddings behind them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from pipeline_lib.networks.backbones.shared.network import FaceNetwork, channels_last
from pipeline_lib.why.explanation.shared.rrf_map import contribution_matrix, patch_contributions, pixel_map

Floats = npt.NDArray[np.float32]
Images = npt.NDArray[np.uint8]
Map = npt.NDArray[np.float64]


class Embedder:
    """A network as functions on arrays in network space, in batches and in float32 (scores must not jitter).

    Args:
        network: in eval mode, on the device it computes on.
        batch_size: images a forward pass.
    """

    def __init__(self, network: FaceNetwork, batch_size: int) -> None:
        self.network, self.batch_size = network, batch_size

    def __call__(self, images: Floats) -> Floats:
        """Embeddings (B, D) of images (B, 3, 112, 112)."""
        return self.with_patches(images)[0]

    @torch.inference_mode()
    def with_patches(self, images: Floats) -> tuple[Floats, Floats]:
        """Embeddings (B, D) and patch features (B, K, D) of images (B, 3, 112, 112)."""
        device = next(self.network.parameters()).device
        parts = [
            self.network.forward_with_patches(channels_last(torch.from_numpy(batch).to(device)))
            for batch in np.split(images, range(self.batch_size, len(images), self.batch_size))
        ]
        embeddings, patches = (torch.cat(part).cpu().numpy() for part in zip(*parts, strict=True))
        return embeddings, patches


@dataclass(frozen=True)
class PairExplanation:
    """A pair of faces explained by RRFNet, without mirrored images.

    Attributes:
        embeddings: float32 (2, D), of both images, as the network gives them.
        terms: float64 (K, K), see rrf_map.contribution_matrix.
        maps: (112, 112) float64 of image A and of image B; each sums to the cosine.
        additivity_error: the larger |sum of a map - cosine of `embeddings`|; rounding of the float32 network.
    """

    embeddings: Floats
    terms: Map
    maps: tuple[Map, Map]
    additivity_error: float


def to_network_space(images: Images) -> Floats:
    """uint8 (N, H, W, 3) RGB to float32 (N, 3, H, W) = rgb/127.5 - 1."""
    scaled: Floats = images.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(127.5) - np.float32(1.0)
    return scaled


def explain_pair(embedder: Embedder, pair: Floats) -> PairExplanation:
    """Explain the cosine of two images (2, 3, 112, 112) in network space by an RRFNet.

    Raises:
        DataError: a feature is not finite or a mean feature has length 0.
    """
    embeddings, patches = embedder.with_patches(pair)
    terms = contribution_matrix(patches[0], patches[1])
    map_a, map_b = (pixel_map(c, embedder.network.grid) for c in patch_contributions(terms))
    a, b = embeddings.astype(np.float64)
    cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    error = max(abs(float(saliency.sum() - cosine)) for saliency in (map_a, map_b))
    return PairExplanation(embeddings, terms, (map_a, map_b), error)
