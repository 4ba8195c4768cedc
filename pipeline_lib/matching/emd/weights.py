"""How much mass each patch brings to the transport between two faces."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.emd.patches import UnitPatches


@dataclass(frozen=True)
class Weighing:
    """What one side of the pairs brings to the weights: patch i of an image weighs max(0, own_i + q̂_i · t), normalised to sum 1.

    t is the other image's `towards`.

    Attributes:
        own: float32 (A, N).
        towards: float32 (A, C), or None where a patch's weight does not depend on the other image.
    """

    own: Tensor
    towards: Tensor | None = None


def uniform(patches: UnitPatches, num_others: int) -> Weighing:
    """Every patch the same: w_i = 1 (paper eq. 3.6)."""
    return Weighing(torch.ones_like(patches.unit[..., 0]))


def apc(patches: UnitPatches, num_others: int) -> Weighing:
    """Average-pooling correlation: w_i = max(0, q̂_i · ĝ), ĝ the unit mean of the other image's patches (eq. 3.7).

    The paper writes q_i and the plain mean. As in the public code, q̂_i has unit length, so that a loud patch weighs no
    more than a quiet one; the length of the mean drops out when the weights are normalised.
    """
    return Weighing(torch.zeros_like(patches.unit[..., 0]), patches.mean)


def cc(patches: UnitPatches, num_others: int) -> Weighing:
    """Cross correlation: as apc, with the other image's embedding (the last linear layer's output) in the mean's place.

    Raises:
        DataError: there are no embeddings, or they have another number of values than a patch.
    """
    if patches.vector is None or patches.vector.shape[-1] != patches.unit.shape[-1]:
        got = "no embeddings" if patches.vector is None else f"embeddings of {patches.vector.shape[-1]} values"
        problem = "The weights 'cc' compare patches with embeddings, which must have as many values."
        raise DataError(problem, got=got, allowed=f"{patches.unit.shape[-1]} values, as the patches; or other weights")
    return Weighing(torch.zeros_like(patches.unit[..., 0]), patches.vector)


def sc(patches: UnitPatches, num_others: int) -> Weighing:
    """Spatial correlation: w_i = max(0, Σ_j cos(q_i, g_j)) (eq. 3.8); the sum is q̂_i · Σ_j ĝ_j."""
    return Weighing(torch.zeros_like(patches.unit[..., 0]), patches.unit.sum(dim=1))


def sc_distance(patches: UnitPatches, num_others: int) -> Weighing:
    """What the public code computes under the name SC: w_i = Σ_j (1 - cos(q_i, g_j)); the unlike patches weigh most."""
    return Weighing(torch.full_like(patches.unit[..., 0], float(num_others)), -patches.unit.sum(dim=1))


def lmk(patches: UnitPatches, num_others: int) -> Weighing:
    """Share of the face's own landmarks in the patch (the thesis's LMK).

    Raises:
        DataError: there are no landmarks.
    """
    if patches.landmarks is None:
        raise DataError(
            "The weights 'lmk' need landmarks.", got="none", allowed="faces with landmarks; or other weights"
        )
    return Weighing(patches.landmarks)


WEIGHTS: dict[str, Callable[[UnitPatches, int], Weighing]] = {
    "uniform": uniform,
    "apc": apc,
    "cc": cc,
    "sc": sc,
    "sc_distance": sc_distance,
    "lmk": lmk,
}


def raw_weights(kind: str, a: UnitPatches, b: UnitPatches) -> tuple[Tensor, Tensor]:
    """The weights of P pairs' patches before they are normalised, float32 (P, N) and (P, M), >= 0.

    Args:
        kind: a key of WEIGHTS.
        a: the patches of P images.
        b: of their P partners, in the same order.

    DeepFace-EMD, section 3.1.5; METHODS section 7.
    """
    sides = WEIGHTS[kind](a, b.unit.shape[1]), WEIGHTS[kind](b, a.unit.shape[1])
    raw = []
    for patches, side, other in ((a, *sides), (b, *sides[::-1])):
        towards = 0.0 if other.towards is None else (patches.unit @ other.towards[:, :, None])[..., 0]
        raw.append((side.own + towards).clamp_min(0.0))
    return raw[0], raw[1]


def patch_weights(
    kind: str, a: UnitPatches, b: UnitPatches, names: Callable[[int], str] = "pair {}".format
) -> tuple[Tensor, Tensor]:
    """As raw_weights, each image's weights summing to 1; a single patch may have weight 0.

    Raises:
        DataError: all weights of an image are 0 (nothing in it resembles its partner): no weighting follows from that,
            and a uniform guess would hide it. `names` says what an error calls pair number p.
    """
    raw_a, raw_b = raw_weights(kind, a, b)
    empty = (raw_a.sum(dim=1) <= 0) | (raw_b.sum(dim=1) <= 0)
    if bool(empty.any()):
        raise no_weight(kind, names(int(empty.nonzero()[0, 0])))
    return raw_a / raw_a.sum(dim=1, keepdim=True), raw_b / raw_b.sum(dim=1, keepdim=True)


def no_weight(kind: str, pair: str) -> DataError:
    """The error that says which pair has an image whose weights are all 0."""
    return DataError(
        f"The patch weights '{kind}' of a pair are all 0, so nothing can be transported.",
        got=pair,
        allowed="at least one patch that resembles the other image; the weights 'uniform' have no such case",
    )
