"""Face-ViT: a transformer sees a query and each candidate together (thesis, chapter 4, section 5.3.2; METHODS, section 7)."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.rerankers.shared.reranker import Compared, Indices, PatchFaces, Reads, Reranker
from pipeline_lib.networks.backbones.shared.checkpoints import load_network
from pipeline_lib.networks.over.face_vit import FaceViT, PairEncoder
from pipeline_lib.params.section import Section

# Of a forward pass: on a CPU their maps stay in a core's cache, a GPU is filled by them.
PAIRS_AT_ONCE = {"cpu": 64, "cuda": 4096}


class Settings(Section):
    """It has none: `with` names the network, which stands on the gallery's."""


class FaceVit(Reranker):
    """What a FaceViT's `compare` says: cos(f_1, f_2) of model H2L, 2 p - 1 of model H2.

    Args:
        encoder: its part above the frozen network, in eval mode, on the device it computes on.
    """

    def __init__(self, encoder: PairEncoder) -> None:
        self.encoder, self.device = encoder, encoder.positions.device

    @torch.inference_mode()
    def prepare(self, faces: PatchFaces, are_queries: bool) -> Tensor:
        """See Reranker: the tokens (n,K,dim), on the device."""
        shape = self.encoder.num_patches, self.encoder.channels
        if faces.patches.shape[1:] != shape:
            got = faces.patches.shape[1:]
            raise DataError(
                "A gallery's patch features are of another network than Face-ViT's.", got=got, allowed=shape
            )
        broken = ~np.isfinite(faces.patches).all(axis=(1, 2))
        if broken.any():
            raise DataError("A patch feature is not finite.", got=faces.keys[int(broken.argmax())])
        return self.encoder.tokens(torch.from_numpy(faces.patches).to(self.device))  # type: ignore[no-any-return]

    @torch.inference_mode()
    def compare(self, queries: Tensor, gallery: Tensor, pairs: Indices, names: Callable[[int], str]) -> Compared:
        """See Reranker; every pair is carried.

        All forward passes have one shape, the last filled up with copies of its last pair.
        """
        size = PAIRS_AT_ONCE[self.device.type]
        index = torch.from_numpy(pairs).to(self.device)
        scores = []
        for first in range(0, len(index), size):
            rows = torch.arange(first, first + size, device=self.device).clamp_max(len(index) - 1)
            a, b = index[rows].unbind(dim=1)
            scores.append(self.encoder.compare(queries[a], gallery[b]))
        similarity = torch.cat(scores)[: len(index)].cpu().numpy() if scores else np.zeros(0, np.float32)
        always = np.ones(len(pairs), np.bool_)
        return Compared(similarity, always, always)


def check_grid(settings: Settings, grid: npt.NDArray[np.int64]) -> None:
    """Any will do: the network was trained on it."""


def open_reranker(settings: Settings, reads: Reads) -> Reranker:
    """The one of the network in `with`.

    Raises:
        DataError: that is none of kind face_vit, or stands on another network than the gallery's.
        CheckpointError: it is missing or damaged.
    """
    network = load_network(reads.with_) if reads.with_.name != "none" else None
    if not isinstance(network, FaceViT) or network.below != reads.gallery.name:
        got = type(network).__name__ + (f" over {network.below}" if isinstance(network, FaceViT) else "")
        allowed = f"networks_over/<a network of kind face_vit over {reads.gallery.name}>"
        raise DataError("Face-ViT re-ranks with its network.", got=got, allowed=allowed, where=reads.with_)
    return FaceVit(network.encoder.to(reads.device))
