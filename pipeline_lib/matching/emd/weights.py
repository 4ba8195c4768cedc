"""How much mass each patch brings to the transport between two faces, and the coarser grid."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline_lib.core.errors import DataError


@dataclass(frozen=True)
class PatchPairs:
    """The patches of P pairs of images, A and B.

    Attributes:
        unit_a: float32 (P, N, C), patches of unit length.
        unit_b: float32 (P, M, C).
        mean_a: float32 (P, C), the mean of A's patches as they were before normalisation, brought to unit length.
        mean_b: float32 (P, C).
        cosines: float32 (P, N, M), unit_a · unit_b.
    """

    unit_a: Tensor
    unit_b: Tensor
    mean_a: Tensor
    mean_b: Tensor
    cosines: Tensor


def uniform(pairs: PatchPairs) -> tuple[Tensor, Tensor]:
    """Every patch the same: w_i = 1 (paper eq. 3.6)."""
    return torch.ones_like(pairs.cosines[:, :, 0]), torch.ones_like(pairs.cosines[:, 0, :])


def apc(pairs: PatchPairs) -> tuple[Tensor, Tensor]:
    """Average-pooling correlation: w_i = max(0, q̂_i · ĝ), ĝ the unit mean of the other image's patches (eq. 3.7).

    The paper writes q_i and the plain mean. As in the public code, q̂_i has unit length, so that a loud patch weighs no
    more than a quiet one; the length of the mean drops out when the weights are normalised.
    """
    w_a = torch.bmm(pairs.mean_b[:, None, :], pairs.unit_a.transpose(1, 2))[:, 0]
    w_b = torch.bmm(pairs.mean_a[:, None, :], pairs.unit_b.transpose(1, 2))[:, 0]
    return w_a.clamp_min(0.0), w_b.clamp_min(0.0)


def sc(pairs: PatchPairs) -> tuple[Tensor, Tensor]:
    """Spatial correlation: w_i = max(0, Σ_j cos(q_i, g_j)) (eq. 3.8)."""
    return pairs.cosines.sum(dim=2).clamp_min(0.0), pairs.cosines.sum(dim=1).clamp_min(0.0)


def sc_distance(pairs: PatchPairs) -> tuple[Tensor, Tensor]:
    """What the public code computes under the name SC: w_i = Σ_j (1 - cos(q_i, g_j)); the unlike patches weigh most."""
    distances = 1.0 - pairs.cosines
    return distances.sum(dim=2), distances.sum(dim=1)


WEIGHTS: dict[str, Callable[[PatchPairs], tuple[Tensor, Tensor]]] = {
    "uniform": uniform,
    "apc": apc,
    "sc": sc,
    "sc_distance": sc_distance,
}


def patch_weights(
    kind: str, pairs: PatchPairs, names: Callable[[int], str] = "pair {}".format
) -> tuple[Tensor, Tensor]:
    """Weigh the patches of both images of each pair; each image's weights sum to 1.

    Args:
        kind: a key of WEIGHTS.
        pairs: the patches.
        names: what an error calls pair number p.

    Returns:
        float32 (P, N) and (P, M), non-negative; a single patch may have weight 0.

    Raises:
        DataError: all weights of an image are 0 (nothing in it resembles its partner): no weighting follows from that,
            and a uniform guess would hide it.

    DeepFace-EMD, section 3.1.5; METHODS section 7.
    """
    raw = WEIGHTS[kind](pairs)
    sums = [weights.sum(dim=1, keepdim=True) for weights in raw]
    empty = _without_mass(raw)
    if bool(empty.any()):
        raise DataError(
            f"The patch weights '{kind}' of a pair are all 0, so nothing can be transported.",
            got=names(int(empty.nonzero()[0, 0])),
            allowed="at least one patch that resembles the other image; rerank.weights: uniform has no such case",
        )
    return raw[0] / sums[0], raw[1] / sums[1]


def have_mass(kind: str, pairs: PatchPairs) -> Tensor:
    """Which pairs can be weighed: bool (P,), False where all weights of an image are 0 and `patch_weights` would raise."""
    return ~_without_mass(WEIGHTS[kind](pairs))


def _without_mass(raw: tuple[Tensor, Tensor]) -> Tensor:
    return torch.stack([weights.sum(dim=1) <= 0.0 for weights in raw]).any(dim=0)


def pool_grid(patches: npt.NDArray[np.float32], grid: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Average the patches over 2x2 neighbours.

    An odd row or column at the bottom or right is averaged over the cells there are: 7x7 gives 4x4, whose last row and
    column are means of two cells and whose last corner is one cell, so that no part of the face is left out.

    Args:
        patches: (B, K, C) in the order of `grid`.
        grid: int64 (K, 4), x y w h px: a full grid of rows and columns, row by row.

    Returns:
        float32 (B, ceil(rows/2)·ceil(columns/2), C).

    Raises:
        DataError: the boxes are no full grid (an RRFNet without its corners, for example).

    METHODS section 7: "the last convolutional map, and its 2x2 average".
    """
    xs, ys = np.unique(grid[:, 0]), np.unique(grid[:, 1])
    full = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    if not np.array_equal(full, grid[:, :2]):
        got = f"{len(grid)} patches at {len(xs)} columns and {len(ys)} rows"
        raise DataError("Only a full patch grid can be averaged 2x2.", got=got, allowed="pool: 1 for this network")
    maps = torch.from_numpy(patches).transpose(1, 2).reshape(len(patches), -1, len(ys), len(xs))
    pooled = torch.nn.functional.avg_pool2d(maps, kernel_size=2, ceil_mode=True, count_include_pad=False)
    return np.ascontiguousarray(pooled.flatten(2).transpose(1, 2).numpy())
