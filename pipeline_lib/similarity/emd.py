"""Patch-wise earth mover's distance of two faces: log-domain Sinkhorn, many pairs at once, each as if it were alone."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline_lib.core.errors import DataError
from pipeline_lib.similarity.emd_weights import patch_weights

CHECK_EVERY = 10
CHUNK = 64
# Costs lie in [0, 2]. From this regularisation on exp(-2/ε) > 1e-35 is a normal float32, and products with the kernel
# replace the ten times slower sums of exponentials.
MIN_KERNEL_REGULARISATION = 0.025


@dataclass(frozen=True)
class Transport:
    """The flows of P pairs.

    Attributes:
        plan: float32 (P, N, M), non-negative, the mass each patch of A sends to each patch of B.
        similarity: float32 (P,), Σ plan · cos.
        marginal_error: float32 (P,), L1 distance of the plan's row and column sums from the weights, both added.
        converged: bool (P,), marginal_error <= tolerance was reached.
    """

    plan: Tensor
    similarity: Tensor
    marginal_error: Tensor
    converged: Tensor


def sinkhorn(
    cosines: Tensor,
    weights_a: Tensor,
    weights_b: Tensor,
    *,
    regularisation: float,
    tolerance: float,
    max_iterations: int,
    names: Callable[[int], str] = "pair {}".format,
) -> Transport:
    """Solve min_T Σ T(1 - cos) + ε Σ T log T with row sums weights_a and column sums weights_b, for each pair.

    T = exp((cos - 1)/ε + f_i + g_j); in turn f_i makes the row sums right and g_j the column sums. Every 10 iterations
    the plan itself is formed and measured: a pair is converged once |T1 - a|₁ + |Tᵀ1 - b|₁ <= tolerance, and then keeps
    that plan whatever the others still do. The L1 norm (not the largest deviation) is used since it bounds the score:
    moving T onto the exact marginals changes Σ T cos by at most 2·tolerance.

    f and g are kept as logarithms. Within 10 iterations the scaling runs on the kernel exp(log T), which has the
    magnitude of the plan (log-domain stabilisation); for ε < 0.025, where that kernel can vanish, on logarithms
    throughout. Both are float32.

    Args:
        cosines: float32 (P, N, M), finite, in [-1, 1].
        weights_a: float32 (P, N), >= 0, each row summing to 1; zeros are allowed and receive no flow.
        weights_b: float32 (P, M), likewise.
        regularisation: ε > 0, in units of the cost; 0.05 in the paper.
        tolerance: of the marginals; below about 1e-6 float32 cannot reach it.
        max_iterations: rounded up to a multiple of 10; a pair not done by then has converged = False.
        names: what an error calls pair number p.

    Raises:
        DataError: a cosine or weight is not finite, a weight negative, or weights do not sum to 1; names the pair.

    DeepFace-EMD eq. 3.1-3.5 with Sinkhorn; METHODS section 7. The public code stops on the whole batch's mean change;
    here a pair's result does not depend on the batch it is in (up to rounding inside a batched matrix product).
    """
    _check(cosines, weights_a, weights_b, names)
    log_kernel = (cosines - 1.0) / regularisation
    log_a, log_b = weights_a.log(), weights_b.log()
    g = torch.where(weights_b > 0, 0.0, -math.inf)
    f = log_a - torch.logsumexp(log_kernel + g[:, None, :], dim=2)
    plan = _plan(log_kernel, f, g)
    update = _scale if regularisation >= MIN_KERNEL_REGULARISATION else _scale_logarithms
    kept, error, done = plan, torch.full_like(f[:, 0], math.inf), torch.zeros_like(f[:, 0], dtype=torch.bool)
    for _ in range(math.ceil(max_iterations / CHECK_EVERY)):
        f, g = update(log_kernel, plan, f, g, weights_a, weights_b)
        plan = _plan(log_kernel, f, g)
        now = (plan.sum(dim=2) - weights_a).abs().sum(dim=1) + (plan.sum(dim=1) - weights_b).abs().sum(dim=1)
        kept = torch.where(done[:, None, None], kept, plan)
        error = torch.where(done, error, now)
        done = done | (now <= tolerance)
        if bool(done.all()):  # the one host sync in 10 iterations
            break
    return Transport(kept, (kept * cosines).sum(dim=(1, 2)), error, done)


def emd_similarities(
    patches_a: npt.NDArray[np.float32],
    patches_b: npt.NDArray[np.float32],
    pairs: npt.NDArray[np.int64],
    *,
    weights: str,
    regularisation: float,
    tolerance: float,
    max_iterations: int,
    names: Callable[[int], str] = "pair {}".format,
) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]]:
    """EMD similarity Σ T·cos of many pairs of images, in chunks of 64 pairs, so that memory stays small.

    Every chunk is filled up to 64 pairs with copies of its last one: the matrix products then have one shape, whatever
    the number of pairs, and a pair's result is the same bits in any company.

    Args:
        patches_a: float32 (A, N, C), not normalised (`EmbeddingSet.patches` of the queries).
        patches_b: float32 (B, M, C), those of the gallery.
        pairs: int64 (P, 2), row of patches_a and row of patches_b.
        weights: a key of emd_weights.WEIGHTS.
        regularisation, tolerance, max_iterations: see `sinkhorn`.
        names: what an error calls pair number p.

    Yields:
        float32 similarities in [-1, 1] and bool convergence of the next up to 64 pairs, in their order.

    Raises:
        DataError: a patch is not finite or has length 0 (it has no cosine), or all weights of an image are 0.
    """
    a, b = torch.from_numpy(patches_a), torch.from_numpy(patches_b)
    bad_a, bad_b = _no_direction(a), _no_direction(b)
    index = torch.from_numpy(pairs)
    broken = bad_a[index[:, 0]] | bad_b[index[:, 1]]
    if bool(broken.any()):
        raise DataError(
            "A patch feature is not finite or has length 0, so its cosine does not exist.",
            got=names(int(broken.nonzero()[0, 0])),
        )
    for first in range(0, len(pairs), CHUNK):
        rows = torch.arange(first, first + CHUNK).clamp_max(len(pairs) - 1)
        chunk_a, chunk_b = a[index[rows, 0]], b[index[rows, 1]]
        cosines = patch_cosines(chunk_a, chunk_b)

        def name(position: int, start: int = first) -> str:
            return names(min(start + position, len(pairs) - 1))

        w_a, w_b = patch_weights(weights, chunk_a, chunk_b, cosines, name)
        solved = sinkhorn(
            cosines,
            w_a,
            w_b,
            regularisation=regularisation,
            tolerance=tolerance,
            max_iterations=max_iterations,
            names=name,
        )
        num = min(CHUNK, len(pairs) - first)
        yield solved.similarity[:num].numpy(), solved.converged[:num].numpy()


def patch_cosines(patches_a: Tensor, patches_b: Tensor) -> Tensor:
    """cos of every patch of A with every patch of B: (P, N, C), (P, M, C) -> (P, N, M), in [-1, 1]."""
    unit_a = torch.nn.functional.normalize(patches_a, dim=-1)
    unit_b = torch.nn.functional.normalize(patches_b, dim=-1)
    return torch.bmm(unit_a, unit_b.transpose(1, 2)).clamp_(-1.0, 1.0)


def _plan(log_kernel: Tensor, f: Tensor, g: Tensor) -> Tensor:
    return (log_kernel + f[:, :, None] + g[:, None, :]).exp_()


def _scale(
    log_kernel: Tensor, plan: Tensor, f: Tensor, g: Tensor, weights_a: Tensor, weights_b: Tensor
) -> tuple[Tensor, Tensor]:
    """10 iterations of r = a / (T c), c = b / (Tᵀ r) on the current plan T, then f += log r, g += log c."""
    # Both products are written row vector x matrix, which BLAS runs three times as fast as matrix x column vector here.
    transposed = plan.transpose(1, 2).contiguous()
    a, b = weights_a[:, None, :], weights_b[:, None, :]
    r, c = torch.ones_like(a), torch.ones_like(b)
    for _ in range(CHECK_EVERY):
        # A patch of weight 0 has an empty row: 0/0, which is no flow and stays none.
        r = torch.where(a > 0, a / torch.bmm(c, transposed), 1.0)
        c = torch.where(b > 0, b / torch.bmm(r, plan), 1.0)
    return f + r[:, 0].log(), g + c[:, 0].log()


def _scale_logarithms(
    log_kernel: Tensor, plan: Tensor, f: Tensor, g: Tensor, weights_a: Tensor, weights_b: Tensor
) -> tuple[Tensor, Tensor]:
    """The same 10 iterations on logarithms: f = log a - logsumexp_j(log K + g), g = log b - logsumexp_i(log K + f)."""
    log_a, log_b = weights_a.log(), weights_b.log()
    for _ in range(CHECK_EVERY):
        f = log_a - torch.logsumexp(log_kernel + g[:, None, :], dim=2)
        g = log_b - torch.logsumexp(log_kernel + f[:, :, None], dim=1)
    return f, g


def _no_direction(patches: Tensor) -> Tensor:
    """bool (A,): some patch of the image is NaN, infinite or all 0."""
    lengths = torch.linalg.vector_norm(patches, dim=-1)
    return ~((lengths > 0) & lengths.isfinite()).all(dim=1)


def _check(cosines: Tensor, weights_a: Tensor, weights_b: Tensor, names: Callable[[int], str]) -> None:
    if cosines.shape != (*weights_a.shape, weights_b.shape[-1]) or weights_b.shape[0] != weights_a.shape[0]:
        got = f"cosines {tuple(cosines.shape)}, weights {tuple(weights_a.shape)}, {tuple(weights_b.shape)}"
        raise DataError("Cosines and patch weights do not fit.", got=got, allowed="(P, N, M), (P, N), (P, M)")
    finite = cosines.isfinite().flatten(1).all(dim=1)
    if not bool(finite.all()):
        raise DataError("A pair has a patch cosine that is not finite.", got=names(int((~finite).nonzero()[0, 0])))
    for weights in (weights_a, weights_b):
        # 1e-5: a float32 sum of some hundred weights is right to about 1e-6.
        valid = (weights >= 0).all(dim=1) & ((weights.sum(dim=1) - 1.0).abs() <= 1e-5)
        if not bool(valid.all()):
            pair = names(int((~valid).nonzero()[0, 0]))
            raise DataError("A pair's patch weights are no shares.", got=pair, allowed=">= 0 and summing to 1")
