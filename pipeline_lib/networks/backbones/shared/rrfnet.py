"""RRFNet: one network over all patches of a face; the embedding is the mean of theirs (papers/rrfnet.md, III-B)."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline_lib.data.patches.cut import cut_patches
from pipeline_lib.data.patches.grid import layout_positions
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec


class RRFNet(FaceNetwork):
    """One network over the K patches of each face as one (B*K) batch; F = mean_i f_i (RRFNet eq. 3).

    The paper's network is an IResNet of first stride 1 (Table I); any other one that takes inputs of the patch side
    serves as well.

    No unit outside the mean sees more than one patch, so the cosine of two faces is a sum over pairs of patches (eq.
    8). Patch features are the f_i, the grid the patches' boxes. Masked-patch augmentation (section IV-C) is an
    argument of forward, drawn by the caller, so the network holds no random state; evaluation passes none and uses
    all patches.
    """

    additive = True

    def __init__(self, spec: NetworkSpec, backbone: FaceNetwork) -> None:
        super().__init__(spec)
        assert spec.patches is not None, "an RRFNet is made of patches"
        self.patches = spec.patches
        self.positions = layout_positions(self.patches.side_px, self.patches.layout)
        sides = np.full_like(self.positions, self.patches.side_px)
        self.grid = np.concatenate([self.positions, sides], axis=1)
        self.num_kept = max(1, len(self.positions) - round(self.patches.mask_share * len(self.positions)))
        self.backbone = backbone

    def forward_with_patches(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See FaceNetwork; the patch vectors are f_i (B,K,D) and the embedding is their mean."""
        patches = self._patch_vectors(self._cut(images))
        return patches.mean(dim=1), patches

    def forward(self, images: Tensor, kept: Tensor | None = None) -> Tensor:
        """Embed images, in training with some patches masked.

        Args:
            images: float32 (B,3,112,112) in [-1,1].
            kept: int64 (B,k) indices of the patches that are not masked (draw), None for all. mask_mode
                drop averages the kept ones and computes no others; zero sets the others' pixels to 0 (mid-grey) and
                averages all.

        Returns:
            (B,D), not normalised.
        """
        if kept is None:
            return self.forward_with_patches(images)[0]
        patches = self._cut(images)
        rows = torch.arange(len(kept), device=kept.device)[:, None]
        if self.patches.mask_mode == "drop":
            return self._patch_vectors(patches[rows, kept]).mean(dim=1)
        shown = torch.zeros(patches.shape[:2], dtype=patches.dtype, device=patches.device)
        shown[rows, kept] = 1
        return self._patch_vectors(patches * shown[:, :, None, None, None]).mean(dim=1)

    def additive_patches(self, patches: Tensor) -> Tensor:
        """See FaceNetwork: the patch vectors themselves (eq. 3)."""
        return patches

    def draw(self, rng: np.random.Generator) -> npt.NDArray[np.int64] | None:
        """round(mask_share * K) random patches of one sample are masked, at most K - 1; the sorted indices of the
        others, int64 (k,).

        Every sample keeps the same number, so the kept ones of a batch are one tensor and dropping saves their time.
        """
        if self.num_kept == len(self.positions):
            return None
        return np.sort(rng.permutation(len(self.positions))[: self.num_kept])

    def compile(self, *args: Any, **options: Any) -> None:
        """nn.Module.compile for the network over patches alone.

        With the cutting, a GPU's losses were off (docs/benchmarks.md).
        """
        self.backbone.compile(*args, **options)

    def _cut(self, images: Tensor) -> Tensor:
        return cut_patches(images, self.positions, self.patches.side_px)

    def _patch_vectors(self, patches: Tensor) -> Tensor:
        """f_i of patches (B,k,3,s,s): (B,k,D), float32 under autocast too, so that their mean is the embedding exactly."""
        vectors: Tensor = self.backbone(patches.flatten(0, 1)).float()
        return vectors.view(*patches.shape[:2], -1)
