"""Insertion and deletion for face pairs: does the score follow the pixels that a map calls important?"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError

Floats = npt.NDArray[np.float32]
Map = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]
Embed = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Curves:
    """Scores of one image against its untouched partner, at shares 0, 1/S, ..., 1 of changed pixels.

    Attributes:
        insertion: float64 (S+1,), the score as pixels are revealed, the most salient first. Larger area: better map.
        deletion: float64 (S+1,), the score as pixels are removed, the most salient first. Smaller area: better map.
    """

    insertion: npt.NDArray[np.float64]
    deletion: npt.NDArray[np.float64]


def insertion_deletion(
    embed: Embed,
    image: Floats,
    partner: Floats,
    saliency: Map,
    *,
    num_steps: int,
    blur_sigma_px: float,
    tie_ranks: Indices,
) -> Curves:
    """Trace both curves of one image of a pair, all their images in one call of `embed`.

    score(z) = cos(embed(z), partner). Step s of deletion sets the round(s·P/S) most salient of the P pixels to 0, the
    mid-grey of network space; step s of insertion shows the same pixels in an image that is otherwise blurred.

    Args:
        embed: float32 (B, 3, H, W) in network space -> float32 (B, D), not normalised. METHODS leaves open whether the
            mirrored image takes part: it does if it does in the score, and it is the mirror image of the changed one.
        image: float32 (3, H, W), (rgb/255 - 0.5)/0.5.
        partner: float32 (D,), the embedding of the untouched other image, by the same `embed`.
        saliency: float (H, W); signed, the largest value counts as the most salient.
        num_steps: S >= 2.
        blur_sigma_px: σ of the Gaussian blur below insertion, px; kernel cut at 4σ, image reflected at its border.
        tie_ranks: int64, a permutation of 0..P-1: the order among pixels of equal saliency (`draw_tie_ranks`).

    Raises:
        DataError: shapes differ, the map is not finite, or an embedding has no direction.

    RISE (Petsiuk et al., 2018), for pairs as in RRFNet section V; METHODS section 9.
    """
    _check(image, saliency, tie_ranks)
    blurred = blur(image, blur_sigma_px)
    counts = np.rint(np.linspace(0, tie_ranks.size, num_steps + 1)).astype(np.int64)
    changed = (saliency_ranks(saliency, tie_ranks)[None] < counts[1:-1, None, None])[:, None]
    ends = np.stack([image, np.zeros_like(image), blurred])
    images = np.concatenate([ends, np.where(changed, np.float32(0.0), image), np.where(changed, image, blurred)])
    scores = _cosines(embed(images), partner)
    original, removed, hidden = scores[:3]
    deleting, revealing = np.split(scores[3:], 2)
    return Curves(
        insertion=np.concatenate([[hidden], revealing, [original]]),
        deletion=np.concatenate([[original], deleting, [removed]]),
    )


def area(curve: npt.NDArray[np.float64]) -> float:
    """Area under a curve over the share 0..1 of changed pixels, by trapezoids of equal width."""
    return float(np.trapezoid(curve, dx=1.0 / (len(curve) - 1)))


def draw_tie_ranks(rng: np.random.Generator, num_pixels: int) -> Indices:
    """A random order for pixels of equal saliency: in reading order a flat map would start with the forehead."""
    return rng.permutation(num_pixels)


def saliency_ranks(saliency: Map, tie_ranks: Indices) -> Indices:
    """Rank of each pixel, 0 = most salient, equal values in the order of tie_ranks; int64, of the map's shape."""
    order = np.lexsort((tie_ranks, -saliency.reshape(-1)))
    ranks = np.empty(order.size, np.int64)
    ranks[order] = np.arange(order.size)
    return ranks.reshape(saliency.shape)


def blur(image: Floats, sigma_px: float) -> Floats:
    """Gaussian blur of a float32 (3, H, W) image, σ in px, reflected at the border."""
    side = 2 * int(np.ceil(4 * sigma_px)) + 1
    blurred = cv2.GaussianBlur(image.transpose(1, 2, 0), (side, side), sigma_px, borderType=cv2.BORDER_REFLECT_101)
    return np.ascontiguousarray(blurred.transpose(2, 0, 1))


def _cosines(embeddings: Floats, partner: Floats) -> npt.NDArray[np.float64]:
    vectors, other = embeddings.astype(np.float64), partner.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(other)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise DataError(
            "An embedding has no direction, so its cosine does not exist.", got=f"lengths {lengths.min()}.."
        )
    cosines: npt.NDArray[np.float64] = vectors @ other / lengths
    return cosines


def _check(image: Floats, saliency: Map, tie_ranks: Indices) -> None:
    height, width = image.shape[-2:]
    if image.shape != (3, height, width) or tie_ranks.shape != (height * width,):
        raise DataError("An image or its tie order has another shape.", got=f"{image.shape}, {tie_ranks.shape}")
    if saliency.shape != (height, width) or not np.isfinite(saliency).all():
        raise DataError("A map has another shape than its image, or is not finite.", got=saliency.shape)
