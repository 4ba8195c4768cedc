"""From aligned faces to what a scorer compares."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.cosine import unit
from pipeline_lib.core.errors import CheckpointError, DataError
from pipeline_lib.data.patches.grid import parse_region
from pipeline_lib.matching.scores.shared.faces import Faces, Needs
from pipeline_lib.matching.scores.shared.scorer import Scorer
from pipeline_lib.networks.backbones.shared.checkpoints import load_network, weights_digest
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.embedding.extract import embed_images, embed_region_images

BATCH_SIZE = 32


class Encoder:
    """The networks that a scorer needs, as the stages embed and embed_regions use them.

    Args:
        needs: of the scorer.
        networks: in eval mode, by name: needs.network, or each of needs.side_by_side or needs.positions.
        mirror: add the mirrored image's features (a region's always are).

    Raises:
        DataError: a network is missing.
    """

    def __init__(self, needs: Needs, networks: Mapping[str, FaceNetwork], mirror: bool) -> None:
        missing = [name for name in network_names(needs) if name not in networks]
        if missing:
            raise DataError("The verifier lacks a network that its score needs.", got=list(networks), allowed=missing)
        self.needs, self.networks, self.mirror = needs, networks, mirror

    @classmethod
    def load(cls, folder: Path, scorer: Scorer, mirror: bool) -> "Encoder":
        """Read the networks that a scorer needs below `folder`, one a subfolder.

        Raises:
            CheckpointError: one is missing or damaged, or is in another state than the scorer's anchors were measured with.
        """
        names = network_names(scorer.needs)
        for name in names if scorer.weights_digest else ():
            if (got := weights_digest(folder / name)) != scorer.weights_digest:
                problem = (
                    "A score's anchors are of another state of its network; run build_anchors again, and register."
                )
                raise CheckpointError(problem, got=got, allowed=scorer.weights_digest, where=folder / name)
        return cls(scorer.needs, {name: load_network(folder / name) for name in names}, mirror)

    @property
    def whole_face(self) -> FaceNetwork | None:
        """The one network of the whole face, None where the scorer needs several, regions, or pixels."""
        return None if self.needs.network is None else self.networks[self.needs.network]

    def encode(self, images: npt.NDArray[np.uint8]) -> Faces:
        """Faces of aligned images, uint8 (N, 112, 112, 3) RGB, N >= 1: their pixels, their vectors, and the patches that the
        scorer or the network's own explanation reads.
        """
        if self.needs.positions:
            regions = {parse_region(name): self.networks[name] for name in self.needs.positions}
            return Faces(patches=embed_region_images(regions, images, BATCH_SIZE), pixels=images)
        if self.needs.side_by_side:
            found = (
                embed_images(self.networks[name], images, self.mirror, BATCH_SIZE, with_patches=False)[0]
                for name in self.needs.side_by_side
            )
            return Faces(np.hstack([unit(vectors) for vectors in found]), pixels=images)
        network = self.whole_face
        if network is None:
            return Faces(pixels=images)
        with_patches = self.needs.with_patches or network.additive
        vectors, patches = embed_images(network, images, self.mirror, BATCH_SIZE, with_patches)
        return Faces(vectors, patches if with_patches else None, images)


def patch_means(network: FaceNetwork | None, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32] | None:
    """The mean of a network's patch features of each aligned image, without its mirror image's: float32 (N, C)."""
    return None if network is None else embed_images(network, images, False, BATCH_SIZE)[1].mean(axis=1)


def network_names(needs: Needs) -> tuple[str, ...]:
    """The networks, or regions, that a scorer needs."""
    return (needs.side_by_side or needs.positions) if needs.network is None else (needs.network,)
