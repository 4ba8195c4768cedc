"""xSSAB: the gradients of the arguments of a cosine that speak for and against a match (Huber et al., papers/xssab.md)."""

import cv2
import numpy as np
import torch
from torch.nn.functional import normalize

from pipeline_lib.core.errors import DataError
from pipeline_lib.params.section import Section
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.explanation.shared.explanation import Explanation, Maps, Requires

REQUIRES: Requires = "gradients"
BLUR_PX, BLUR_SIGMA_PX = 5, 5.0  # the paper's, for pictures


class Settings(Section):
    """`blur`: smooth the maps as the paper does for its pictures; its figures, too, are of maps that are not."""

    blur: bool = False


def explain(network: Embedder, pair: EmbeddedPair, settings: Settings, rng: np.random.Generator) -> Explanation:
    """Split the cosine by its arguments, and see what each half of them owes to each pixel.

        a_n = ê_A,n ê_B,n;   S+ = sum of a_n >= t/D,   S- = sum of the others,   S+ + S- = cos(e_A, e_B)      (eq. 4 to 8)
        map of an image x = mean over RGB of |dS+/dx| - mean over RGB of |dS-/dx|                              (eq. 9 to 12)

    The other image's ê and the split are constants; the gradient goes through an image's own normalisation and, where mirrored
    images are added, through both of its embeddings. Both images go through the network together: one forward pass of the two
    and two backward ones give all four gradients. Values are changes of the cosine for a change of 1 in network space, whose
    pixels lie in [-1, 1].

    Args:
        network: any, in eval mode, with a threshold.
        pair: two faces, by `network`.
        settings: see there.
        rng: not used.

    Raises:
        DataError: there is no threshold, an embedding has no direction, or a gradient is not finite.
    """
    if network.threshold is None:
        raise DataError(
            "xSSAB splits a cosine at the network's threshold, which is found on validation pairs; there are none.",
            allowed="ingest.val_share above 0",
        )
    score = pair.score  # refuses embeddings without a direction
    with torch.enable_grad():
        x = network.on_device(pair.inputs).requires_grad_()
        unit = normalize(network.embed(x).float())
        arguments = unit * unit.detach().flip(0)
        speaks_for = arguments.detach() >= network.threshold / arguments.shape[1]
        plus = network.gradient((arguments * speaks_for).sum(), x, again=True)
        minus = network.gradient((arguments * ~speaks_for).sum(), x)
    maps: Maps = (plus.abs().mean(dim=1) - minus.abs().mean(dim=1)).cpu().numpy()
    if not np.isfinite(maps).all():
        raise DataError(
            "A gradient of the score is not finite.", got=f"{(~np.isfinite(maps)).sum()} pixels of both images"
        )
    return Explanation(_blurred(maps) if settings.blur else maps, score)


def _blurred(maps: Maps) -> Maps:
    both = [cv2.GaussianBlur(one, (BLUR_PX, BLUR_PX), BLUR_SIGMA_PX) for one in maps]
    return np.stack(both).astype(np.float32)
