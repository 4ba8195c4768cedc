"""The cosine of two faces as an exact sum over pairs of their patches, for networks whose embedding is their mean."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.why.explanation.shared.explanation import Explanation, check_offers
from pipeline_lib.why.explanation.shared.patch_terms import contribution_matrix, patch_contributions, pixel_map


def additive_explanation(
    network: FaceNetwork,
    patches_a: npt.NDArray[Any],
    patches_b: npt.NDArray[Any],
    *,
    mirror: bool,
    score: float,
    mean: npt.NDArray[np.float32] | None = None,
) -> Explanation:
    """Explain two embedded faces; nothing is embedded again.

    Args:
        network: an additive one (FaceNetwork.additive): an RRFNet, a BagNet.
        patches_a, patches_b: float32 (K, C) of image A and of image B, in the order of network.grid.
        mirror: each is the sum with the mirrored image's (networks.embedding.extract.embed_images).
        score: the cosine of the embeddings that came with the patches; the terms sum to it, to rounding.
        mean: float32 (D,), taken off both embeddings before their cosine; every patch's vector then loses it: the mean of
            v_i - mean is e - mean.

    Raises:
        ParamsError: the network is not additive; see check_offers.
        DataError: see contribution_matrix.

    RRFNet, eq. 8; METHODS section 4.
    """
    check_offers(network, "additive")
    vectors = [_additive_vectors(network, patches, mirror) for patches in (patches_a, patches_b)]
    terms = contribution_matrix(*(vectors if mean is None else [found - mean for found in vectors]))
    maps = np.stack([pixel_map(contributions, network.grid) for contributions in patch_contributions(terms)])
    return Explanation(maps.astype(np.float32), score, terms, network.grid)


@torch.inference_mode()
def _additive_vectors(network: FaceNetwork, patches: npt.NDArray[Any], mirror: bool) -> npt.NDArray[np.float32]:
    """Patches (K, C) as vectors (K, D) whose mean is the embedding.

    The network's map g of patch vectors may have a constant (BagNet's g(v) = W v + b). A mirrored sum holds it twice:
    g(p) + g(p') = g(p + p') + g(0).
    """
    given = torch.from_numpy(np.ascontiguousarray(patches)).to(next(network.parameters()).device)
    vectors = network.additive_patches(given)
    if mirror:
        vectors = vectors + network.additive_patches(torch.zeros_like(given))
    found: npt.NDArray[np.float32] = vectors.cpu().numpy()
    return found
