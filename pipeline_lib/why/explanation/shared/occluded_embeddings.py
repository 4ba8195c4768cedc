"""The embeddings of one face under many black squares, by the quickest way that its network allows."""

import numpy as np
import torch

from pipeline_lib.core.errors import DataError
from pipeline_lib.networks.backbones.iresnet import IResNet
from pipeline_lib.networks.backbones.shared.rrfnet import RRFNet
from pipeline_lib.why.explanation.shared import occluded_iresnet, occluded_patches
from pipeline_lib.why.explanation.shared.embedder import Embedder
from pipeline_lib.why.explanation.shared.occluders import Floats, Squares, mirrored, occluded


def occluded_embeddings(network: Embedder, image: Floats, squares: Squares) -> Floats:
    """Embed a face under each square.

    RRFNets compute the patches that a square touches, IResNets the part of their maps that sees it; any other network,
    or callable with `images_per_batch`, is a black box that is shown whole faces. In each case memory holds one batch
    of faces.

    Args:
        network: as a function on images float32 (B, 3, 112, 112) to embeddings (B, D).
        image: float32 (3, 112, 112), network space.
        squares: int64 (N, 4), N >= 1.

    Returns:
        float32 (N, D); with mirrored images' added where the network adds them: those of the occluded image's mirror
        image.

    Raises:
        DataError: an embedding is zero, NaN or infinite, or the network gives another shape; names the square.
    """
    found = _embedded(network, image, squares)
    if found.ndim != 2 or len(found) != len(squares):
        raise DataError("A network gives no embedding for each image.", got=found.shape, allowed=f"({len(squares)}, D)")
    bad = ~np.isfinite(found).all(axis=1) | (found == 0).all(axis=1)
    if bad.any():
        x, y, side, _ = squares[bad][0].tolist()
        raise DataError(
            "The embedding of an occluded face is zero, NaN or infinite.",
            got=f"{bad.sum()} of {len(bad)}, the first under the square of {side} px at x {x}, y {y}",
            allowed="finite, not all zero",
        )
    return found


def _embedded(network: Embedder, image: Floats, squares: Squares) -> Floats:
    inside = network.network if isinstance(network, Embedder) else None
    if not isinstance(inside, RRFNet | IResNet):
        return np.concatenate([network(batch) for batch in occluded(image, squares, network.images_per_batch)])
    network.num_forward += len(squares) * (1 + network.mirror)  # however little of an image is computed
    with torch.inference_mode():
        x = network.on_device(image)

        def embed(face: torch.Tensor, under: Squares) -> torch.Tensor:
            if isinstance(inside, RRFNet):
                return occluded_patches.embed_occluded(inside, face, under, network.images_per_batch)
            return occluded_iresnet.embed_occluded(inside, face, under, network.images_per_batch)

        vectors = embed(x, squares)
        if network.mirror:
            vectors += embed(x.flip(2), mirrored(squares))
        return vectors.cpu().numpy()
