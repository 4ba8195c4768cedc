"""Projected gradient descent on a face's pixels: its embedding leaves where it should be, within a bound nobody sees."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.pixels import network_scale
from pipeline_lib.networks.backbones.shared.network import FaceNetwork, channels_last
from pipeline_lib.params.attacks import Attack

Floats = npt.NDArray[np.float32]
Images = npt.NDArray[np.uint8]


class Perturbed(NamedTuple):
    """uint8 (B,112,112,3), and the similarity with `own` before and after, float32 (B,) each, of whole pixel values."""

    images: Images
    before: Floats
    after: Floats


def pgd(network: FaceNetwork, mirror: bool, images: Images, own: Floats, starts: Floats, settings: Attack) -> Perturbed:
    """Push each image's similarity with `own` down (Madry et al., ICLR 2018, untargeted, L-infinity).

        s(x) = cos(e(x), own) |own|,   x_0 = Π(x + start),   x_{t+1} = Π(x_t - step_size · sign ∂s/∂x_t)

    Π clips to [x - epsilon, x + epsilon] and [0, 255]. The last x is rounded to whole values, which stay inside, since both
    bounds are whole. Images do not know of each other: in eval mode another batch changes a value only where its gradient is
    within rounding of zero.

    Args:
        network: in eval mode, on the device it computes on; its weights stay.
        mirror: whether e(x) is the sum of the embeddings of the image and of its mirror image, as the gallery's are.
        images: uint8 (B,112,112,3), RGB.
        own: float32 (B,D), the mean of the unit embeddings that the image's should be near: s is then the mean cosine.
        starts: float32 (B,112,112,3), within [-epsilon, epsilon].
        settings: epsilon, num_steps, step_size.

    Raises:
        DataError: a gradient is NaN or infinite.
    """
    device = next(network.parameters()).device
    clean, start = (_channels_first(values, device) for values in (images, starts))
    wanted = torch.from_numpy(own).to(device)
    lowest = (clean - settings.epsilon).clamp_min(0)
    highest = (clean + settings.epsilon).clamp_max(255)

    def similarity(pixels: Tensor) -> Tensor:
        x = network_scale(pixels.clone())
        embedding = network(x) + network(x.flip(3)) if mirror else network(x)
        return (normalize(embedding.float()) * wanted).sum(dim=1)

    x = (clean + start).clamp(lowest, highest)
    for _ in range(settings.num_steps):
        x.requires_grad_(True)
        [gradient] = torch.autograd.grad(similarity(x).sum(), x)
        if not gradient.isfinite().all():
            raise DataError("A surrogate's gradient is not finite; its training diverged.", where=settings.network)
        x = (x.detach() - settings.step_size * gradient.sign()).clamp(lowest, highest)
    whole = x.round()
    assert bool(((whole - clean).abs() <= settings.epsilon).all()), "rounding stays between whole bounds"
    with torch.no_grad():
        before, after = (similarity(pixels).cpu().numpy() for pixels in (clean, whole))
    return Perturbed(whole.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy(), before, after)


def _channels_first(values: npt.NDArray[np.generic], device: torch.device) -> Tensor:
    return channels_last(torch.from_numpy(np.ascontiguousarray(values)).to(device).permute(0, 3, 1, 2).float())
