"""A network that compares two images."""

import abc

from torch import Tensor

from pipeline_lib.networks.backbones.shared.network import FaceNetwork


class PairNetwork(FaceNetwork, abc.ABC):
    """Base of the networks that look at two images together, by the patch features of a frozen network.

    Its patch features are the frozen network's, on the same grid, so that an embedding store of either has what it compares.
    As a network of single images it sees each beside itself: what comes out has nothing of another image.
    """

    in_pairs = True

    @abc.abstractmethod
    def compare(self, patches_a: Tensor, patches_b: Tensor) -> Tensor:
        """How alike the images of each pair are, float32 (P,) in [-1,1], higher is more alike; the same for (A, B) and (B, A).

        Args:
            patches_a, patches_b: (P,K,C), patch features of each pair's two images.
        """
