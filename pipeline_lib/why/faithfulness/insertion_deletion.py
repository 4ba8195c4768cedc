"""Insertion and deletion for face pairs: does the score follow the pixels that a map calls important?"""

from collections.abc import Callable
from dataclasses import dataclass, fields
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
    """Scores of one image against its untouched partner, at shares 0, 1/S, ..., 1 of changed pixels, the most salient first.

    Insertion: larger area, better map; deletion: smaller area, better map. Each with two images below: the image blurred, and
    the mid-grey of network space. RRFNet's table has insertion into the blurred one and deletion to the grey one.

    Attributes:
        insertion, insertion_grey: float64 (S+1,), the score as pixels are shown in the blurred, in the grey image.
        deletion, deletion_blur: float64 (S+1,), the score as pixels are replaced by the grey, by the blurred image's.
    """

    insertion: npt.NDArray[np.float64]
    deletion: npt.NDArray[np.float64]
    insertion_grey: npt.NDArray[np.float64]
    deletion_blur: npt.NDArray[np.float64]


CURVES = tuple(field.name for field in fields(Curves))


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
    """Trace the four curves of one image of a pair, all their images in one call of `embed`, each different one once.

    score(z) = cos(embed(z), partner). Step s replaces the round(s·P/S) most salient of the P pixels (deletion), or all but
    these (insertion), by what lies below: 0, the mid-grey of network space, or the blurred image.

    Args:
        embed: float32 (B, 3, H, W) in network space -> float32 (B, D), not normalised. METHODS leaves open whether the
            mirrored image takes part: it does if it does in the score, and it is the mirror image of the changed one.
        image: float32 (3, H, W), (rgb/255 - 0.5)/0.5.
        partner: float32 (D,), the embedding of the untouched other image, by the same `embed`.
        saliency: float (H, W); signed, the largest value counts as the most salient.
        num_steps: S >= 2.
        blur_sigma_px: σ of the Gaussian blur, px; kernel cut at 4σ, image reflected at its border.
        tie_ranks: int64, a permutation of 0..P-1: the order among pixels of equal saliency (`draw_tie_ranks`).

    Raises:
        DataError: shapes differ, the map is not finite, or an embedding has no direction.

    RISE (Petsiuk et al., 2018), for pairs as in RRFNet section V; METHODS section 9.
    """
    check_map(image, saliency, tie_ranks)
    grey, blurred = np.zeros_like(image), blur(image, blur_sigma_px)
    counts = np.rint(np.linspace(0, tie_ranks.size, num_steps + 1)).astype(np.int64)
    changed = (saliency_ranks(saliency, tie_ranks)[None] < counts[1:-1, None, None])[:, None]
    ends = np.stack([image, grey, blurred])
    between = [np.where(changed, *two) for below in (grey, blurred) for two in ((image, below), (below, image))]
    scores = cosines(embed(np.concatenate([ends, *between])), partner)
    original, removed, hidden = scores[:3]
    insertion_grey, deletion, insertion, deletion_blur = np.split(scores[3:], 4)
    return Curves(
        insertion=np.concatenate([[hidden], insertion, [original]]),
        deletion=np.concatenate([[original], deletion, [removed]]),
        insertion_grey=np.concatenate([[removed], insertion_grey, [original]]),
        deletion_blur=np.concatenate([[original], deletion_blur, [hidden]]),
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


def cosines(embeddings: Floats, partner: Floats) -> npt.NDArray[np.float64]:
    """Of embeddings (B, D) with that of the partner (D,), float64 (B,); DataError if one of them has no direction."""
    vectors, other = embeddings.astype(np.float64), partner.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(other)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise DataError(
            "An embedding has no direction, so its cosine does not exist.", got=f"lengths {lengths.min()}.."
        )
    cosines: npt.NDArray[np.float64] = vectors @ other / lengths
    return cosines


def check_map(image: Floats, saliency: Map, tie_ranks: Indices) -> None:
    """Raise DataError where an image (3, H, W), its map (H, W) and its tie order do not belong together."""
    height, width = image.shape[-2:]
    if image.shape != (3, height, width) or tie_ranks.shape != (height * width,):
        raise DataError("An image or its tie order has another shape.", got=f"{image.shape}, {tie_ranks.shape}")
    if saliency.shape != (height, width) or not np.isfinite(saliency).all():
        raise DataError("A map has another shape than its image, or is not finite.", got=saliency.shape)
