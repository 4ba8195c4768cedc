"""The pictures of one pair: both faces and, between them, what a method says of each; no score, no name, no decision."""

import numpy as np
import numpy.typing as npt

from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.explanation.shared.pictures import SHOWN_SHARE, heatmap_overlay


def pair_tiles(images: npt.NDArray[np.uint8], explanation: Explanation | None) -> list[bytes]:
    """PNGs of 112 px, from left to right: the left face, its map, the right face's map, the right face.

    All methods are drawn alike, so that a study compares the maps and not their drawing: full colour is the 0.99 quantile of
    |map| over both faces; scaled to their few peaks, gradients would not be seen.

    Args:
        images: uint8 (2, 112, 112, 3), RGB.
        explanation: of the two; None gives the faces alone.
    """
    faces = [encode_png(image) for image in images]
    if explanation is None:
        return faces
    strength = np.abs(explanation.maps)
    # A map of zeros has no scale of its own; any positive one draws it as the bare grey face.
    limit = float(np.quantile(strength, SHOWN_SHARE)) or float(strength.max()) or 1.0
    left, right = (
        encode_png(heatmap_overlay(image, saliency, limit))
        for image, saliency in zip(images, explanation.maps, strict=True)
    )
    return [faces[0], left, right, faces[1]]
