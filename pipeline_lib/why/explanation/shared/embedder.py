"""A network as explanations see it: what gives two faces their score."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline_lib.core.cosine import cosine
from pipeline_lib.core.pixels import network_scale
from pipeline_lib.networks.backbones.shared.network import FaceNetwork, channels_last
from pipeline_lib.networks.embedding.extract import mirrored_patches
from pipeline_lib.why.explanation.shared.confidence import Confidence

Floats = npt.NDArray[np.float32]
Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class EmbeddedPair:
    """Two faces and what their network makes of them.

    Attributes:
        images: uint8 (2, 112, 112, 3), RGB, aligned.
        embeddings: float32 (2, D), not normalised, the mirrored images' added if the embedder mirrors.
        patches: float32 (2, K, C), in the order of the network's grid, likewise; None where they were not asked for.
    """

    images: Images
    embeddings: Floats
    patches: Floats | None

    @property
    def score(self) -> float:
        """cos(e_A, e_B), as verify has it; DataError if an embedding has no direction."""
        return float(cosine(*self.embeddings))

    @property
    def inputs(self) -> Floats:
        """The images in network space, float32 (2, 3, 112, 112)."""
        return _in_network_space(self.images)


class Embedder:
    """A network as a function on images in network space, in batches and in float32 (scores must not jitter).

        e = e(x), or e(x) + e(mirror x) with `mirror`;  p_i = p_i(x), or p_i(x) + p_m(i)(mirror x)

    m(i) is the patch that mirroring moves to place i (networks.embedding.extract), so p_i is of place i of x itself. Where a
    score is a centred cosine, its mean is taken off e.

    Args:
        network: in eval mode, on the device it computes on.
        mirror: params.embed's.
        images_per_batch: of a forward pass.
        threshold: the cosine that decides for a match; None where nobody knows it.
        beside: a network over `network` that a method looks with (xCos); None where it needs none.
        mean: float32 (D,), taken off every embedding; None for a plain cosine.
        confidence: of the decisions by `threshold`, for methods that tell it; None where nobody knows it.

    Attributes:
        num_forward, num_backward: images that went through the network so far, mirrored ones counted.
    """

    def __init__(
        self,
        network: FaceNetwork,
        mirror: bool,
        images_per_batch: int,
        threshold: float | None = None,
        beside: FaceNetwork | None = None,
        mean: Floats | None = None,
        confidence: Confidence | None = None,
    ) -> None:
        self.network, self.mirror, self.images_per_batch = network, mirror, images_per_batch
        self.threshold, self.beside, self.mean, self.confidence = threshold, beside, mean, confidence
        self.num_forward = self.num_backward = 0

    def embed(self, x: Tensor) -> Tensor:
        """Embeddings (B, D) of images (B, 3, 112, 112) on the network's device, in one pass; differentiable."""
        x = channels_last(x)
        self.num_forward += len(x) * (1 + self.mirror)
        embeddings: Tensor = self.network(x)
        return self._centred(embeddings + self.network(x.flip(3)) if self.mirror else embeddings)

    def gradient(self, value: Tensor, x: Tensor, again: bool = False) -> Tensor:
        """d value / dx of a scalar that `embed` made of images x (B, 3, 112, 112).

        Args:
            again: another gradient of the same forward pass will be asked for.
        """
        self.num_backward += len(x) * (1 + self.mirror)
        (found,) = torch.autograd.grad(value, x, retain_graph=again)
        return found

    @torch.inference_mode()
    def __call__(self, images: Floats) -> Floats:
        """Embeddings float32 (B, D) of images float32 (B, 3, 112, 112) in network space."""
        batches = np.split(images, range(self.images_per_batch, len(images), self.images_per_batch))
        return torch.cat([self.embed(self.on_device(batch)) for batch in batches]).cpu().numpy()

    @torch.inference_mode()
    def pair(self, images: Images, with_patches: bool = True) -> EmbeddedPair:
        """Embed two aligned faces, uint8 (2, 112, 112, 3).

        Raises:
            DataError: patches are asked for and mirrored, and the network's patch grid is not its own mirror image.
        """
        x = channels_last(self.on_device(_in_network_space(images)))
        if not with_patches:
            return EmbeddedPair(images, self.embed(x).cpu().numpy(), None)
        self.num_forward += len(x) * (1 + self.mirror)
        embeddings, patches = self.network.forward_with_patches(x)
        if self.mirror:
            others, other_patches = self.network.forward_with_patches(x.flip(3))
            embeddings, patches = embeddings + others, patches + other_patches[:, mirrored_patches(self.network.grid)]
        return EmbeddedPair(images, self._centred(embeddings).cpu().numpy(), patches.cpu().numpy())

    def on_device(self, images: Floats) -> Tensor:
        """Images in network space, where the network is."""
        return torch.from_numpy(images).to(next(self.network.parameters()).device)

    def _centred(self, embeddings: Tensor) -> Tensor:
        return embeddings if self.mean is None else embeddings - self.on_device(self.mean)


def _in_network_space(images: Images) -> Floats:
    return network_scale(images.transpose(0, 3, 1, 2).astype(np.float32))
