"""RRFNet's own map against the random one: insertion and deletion over many genuine pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from pipeline_lib.backbones.network import FaceNetwork, channels_last
from pipeline_lib.explanation.random_map import random_map
from pipeline_lib.explanation.rrf_map import contribution_matrix, patch_contributions, pixel_map
from pipeline_lib.faithfulness.insertion_deletion import Curves, area, draw_tie_ranks, insertion_deletion

METHODS = ("own", "random")
Floats = npt.NDArray[np.float32]
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


def to_network_space(images: npt.NDArray[np.uint8]) -> Floats:
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


def measure_pair(
    embedder: Embedder, pair: Floats, num_steps: int, blur_sigma_px: float, seed: Sequence[int]
) -> tuple[dict[str, Curves], float]:
    """Insertion and deletion curves of each method, averaged over both images of a pair, and the additivity error.

    Args:
        embedder: around an RRFNet.
        pair: float32 (2, 3, 112, 112) in network space.
        num_steps, blur_sigma_px: see insertion_deletion.
        seed: of the random maps and of the order among equal pixels.
    """
    explained = explain_pair(embedder, pair)
    rng = np.random.default_rng(list(seed))
    sides = []
    for side in (0, 1):
        maps = [explained.maps[side], random_map(rng)]
        sides.append(
            insertion_deletion(
                embedder,
                pair[side],
                explained.embeddings[1 - side],
                maps,
                num_steps=num_steps,
                blur_sigma_px=blur_sigma_px,
                tie_ranks=draw_tie_ranks(rng, maps[0].size),
            )
        )
    curves = {
        method: Curves((a.insertion + b.insertion) / 2, (a.deletion + b.deletion) / 2)
        for method, a, b in zip(METHODS, *sides, strict=True)
    }
    return curves, explained.additivity_error


def summarise(curves: Sequence[dict[str, Curves]]) -> dict[str, dict[str, float]]:
    """{method: {insertion_mean, insertion_std, deletion_mean, deletion_std}}: areas over pairs, population std."""
    summary = {}
    for method in METHODS:
        insertion = [area(pair[method].insertion) for pair in curves]
        deletion = [area(pair[method].deletion) for pair in curves]
        summary[method] = {
            "insertion_mean": float(np.mean(insertion)),
            "insertion_std": float(np.std(insertion)),
            "deletion_mean": float(np.mean(deletion)),
            "deletion_std": float(np.std(deletion)),
        }
    return summary


def mean_curve_rows(curves: Sequence[dict[str, Curves]]) -> list[tuple[str, str, float, float]]:
    """(method, metric, share of changed pixels, mean score over pairs), for plotting."""
    rows = []
    for method in METHODS:
        for metric in ("insertion", "deletion"):
            mean = np.mean([getattr(pair[method], metric) for pair in curves], axis=0)
            shares = np.linspace(0.0, 1.0, len(mean))
            rows += [(method, metric, float(share), float(score)) for share, score in zip(shares, mean, strict=True)]
    return rows
