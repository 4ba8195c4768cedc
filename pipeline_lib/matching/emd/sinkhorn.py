"""Optimal flow between the patches of two faces: log-domain Sinkhorn, many pairs at once, each as if it were alone."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from pipeline_lib.core.errors import DataError

CHECK_EVERY = 10
# Costs lie in [0, 2]. From this regularisation on exp(-2/ε) > 1e-35 is a normal float32, and products with the kernel
# replace sums of exponentials, which take ten times as long.
MIN_KERNEL_REGULARISATION = 0.025


@dataclass(frozen=True)
class Sinkhorn:
    """How a transport problem is solved.

    Attributes:
        regularisation: ε > 0, in units of the cost 1 - cos; 0.05 in the paper.
        tolerance: allowed L1 distance of the plan's row and column sums from the weights, both added; float32 cannot
            reach less than about 1e-6.
        max_iterations: `transport` rounds it up to a multiple of 10.
    """

    regularisation: float = 0.05
    tolerance: float = 1e-4
    max_iterations: int = 1000


@dataclass(frozen=True)
class Transport:
    """The flows of P pairs.

    Attributes:
        plan: float32 (P, N, M), non-negative, the mass each patch of A sends to each patch of B.
        similarity: float32 (P,), Σ plan · cos.
        marginal_error: float32 (P,), |T1 - a|₁ + |Tᵀ1 - b|₁ of the plan.
        converged: bool (P,), whether the tolerance was reached.
    """

    plan: Tensor
    similarity: Tensor
    marginal_error: Tensor
    converged: Tensor


def transport(
    cosines: Tensor,
    weights_a: Tensor,
    weights_b: Tensor,
    settings: Sinkhorn,
    names: Callable[[int], str] = "pair {}".format,
) -> Transport:
    """Solve min_T Σ T(1 - cos) + ε Σ T log T with row sums weights_a and column sums weights_b, for each pair.

    T = exp((cos - 1)/ε + f_i + g_j); in turn f makes the row sums right and g the column sums. Every 10 iterations the
    plan itself is formed and measured: a pair is converged once |T1 - a|₁ + |Tᵀ1 - b|₁ <= tolerance, and keeps that
    plan. The L1 norm (not the largest deviation) is taken since it bounds the score: moving T onto the exact marginals
    changes Σ T cos by at most twice that.

    f and g are kept as logarithms. Within 10 iterations the scaling runs on the plan itself, whose entries are masses
    (log-domain stabilisation); for ε < 0.025, where they can vanish, on logarithms throughout. All float32.

    Args:
        cosines: float32 (P, N, M), finite, in [-1, 1].
        weights_a: float32 (P, N), >= 0, each row summing to 1; zeros are allowed and receive no flow.
        weights_b: float32 (P, M), likewise.
        settings: regularisation, tolerance, limit.
        names: what an error calls pair number p.

    Raises:
        DataError: a cosine or weight is not finite, a weight negative, or weights do not sum to 1; names the pair.

    DeepFace-EMD eq. 3.1-3.5; METHODS section 7. The public code stops on the mean change of a whole batch; here a
    pair's result does not depend on its neighbours.
    """
    ids = torch.arange(len(cosines), device=cosines.device)
    plan = torch.zeros_like(cosines)
    similarity, error = torch.zeros_like(ids, dtype=torch.float32), torch.zeros_like(ids, dtype=torch.float32)
    problems = [(ids, cosines, weights_a, weights_b)] if len(ids) else []
    for done, plans, scores, errors in solve(problems, settings, names):
        plan[done], similarity[done], error[done] = plans, scores, errors
    return Transport(plan, similarity, error, error <= settings.tolerance)


@dataclass
class _Pool:
    """The problems in work, one a row; `ids` is -1 where a row is idle, `age` counts its iterations."""

    ids: Tensor
    age: Tensor
    cosines: Tensor
    weights_a: Tensor
    weights_b: Tensor
    log_kernel: Tensor
    f: Tensor
    g: Tensor
    plan: Tensor

    def fill(self, rows: Tensor, other: "_Pool", other_rows: Tensor) -> None:
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(other, field.name)[other_rows]


def _start(ids: Tensor, cosines: Tensor, weights_a: Tensor, weights_b: Tensor, regularisation: float) -> _Pool:
    log_kernel = (cosines - 1.0) / regularisation
    g = torch.where(weights_b > 0, 0.0, -math.inf)
    f = weights_a.log() - torch.logsumexp(log_kernel + g[:, None, :], dim=2)
    plan = _plan(log_kernel, f, g)
    return _Pool(ids, torch.zeros_like(ids), cosines, weights_a, weights_b, log_kernel, f, g, plan)


def solve(
    problems: Iterable[tuple[Tensor, Tensor, Tensor, Tensor]], settings: Sinkhorn, names: Callable[[int], str]
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Yield ids, plans, similarities and marginal errors of problems as they are done, not in their order.

    `problems` come in batches (ids, cosines, weights_a, weights_b) of one shape; ids of -1 are fillers.
    """
    advance = _scale if settings.regularisation >= MIN_KERNEL_REGULARISATION else _scale_logarithms
    batches = (_checked(batch, names) for batch in problems)
    first = next(batches, None)
    if first is None:
        return
    pool = _start(*first, settings.regularisation)
    waiting, taken = pool, len(pool.ids)
    while bool((pool.ids >= 0).any()):
        pool.f, pool.g = advance(pool)
        pool.plan = _plan(pool.log_kernel, pool.f, pool.g)
        pool.age = pool.age + CHECK_EVERY
        error = (pool.plan.sum(dim=2) - pool.weights_a).abs().sum(dim=1)
        error += (pool.plan.sum(dim=1) - pool.weights_b).abs().sum(dim=1)
        similarity = (pool.plan * pool.cosines).sum(dim=(1, 2))
        done = (pool.ids >= 0) & ((error <= settings.tolerance) | (pool.age >= settings.max_iterations))
        rows = done.nonzero()[:, 0]  # the one host sync in 10 iterations
        if not len(rows):
            continue
        if not bool(similarity[rows].isfinite().all()):  # masses below float32's range; never passed on as a score
            lost = names(int(pool.ids[rows][~similarity[rows].isfinite()][0]))
            raise DataError(
                "A pair's transport left the range of float32.", got=lost, allowed="a larger regularisation"
            )
        yield pool.ids[rows], pool.plan[rows], similarity[rows], error[rows]
        pool.ids[rows] = -1
        while len(rows):
            if taken == len(waiting.ids):
                following = next(batches, None)
                if following is None:
                    break
                waiting, taken = _start(*following, settings.regularisation), 0
            num = min(len(rows), len(waiting.ids) - taken)
            pool.fill(rows[:num], waiting, torch.arange(taken, taken + num, device=rows.device))
            rows, taken = rows[num:], taken + num


def _plan(log_kernel: Tensor, f: Tensor, g: Tensor) -> Tensor:
    return (log_kernel + f[:, :, None] + g[:, None, :]).exp_()


def _scale(pool: _Pool) -> tuple[Tensor, Tensor]:
    """10 iterations of r = a / (T c), c = b / (Tᵀ r) on the current plan T, then f += log r, g += log c."""
    # Both products are written row vector x matrix, which runs three times as fast here as matrix x column vector.
    transposed = pool.plan.transpose(1, 2).contiguous()
    a, b = pool.weights_a[:, None, :], pool.weights_b[:, None, :]
    has_a, has_b = a > 0, b > 0
    r, c = torch.ones_like(a), torch.ones_like(b)
    for _ in range(CHECK_EVERY):
        # A patch of weight 0 has an empty row: 0/0, which is no flow and stays none.
        r = torch.where(has_a, a / torch.bmm(c, transposed), 1.0)
        c = torch.where(has_b, b / torch.bmm(r, pool.plan), 1.0)
    return pool.f + r[:, 0].log(), pool.g + c[:, 0].log()


def _scale_logarithms(pool: _Pool) -> tuple[Tensor, Tensor]:
    """10 iterations of f = log a - logsumexp_j(log K + g), g = log b - logsumexp_i(log K + f)."""
    log_a, log_b, f, g = pool.weights_a.log(), pool.weights_b.log(), pool.f, pool.g
    for _ in range(CHECK_EVERY):
        f = log_a - torch.logsumexp(pool.log_kernel + g[:, None, :], dim=2)
        g = log_b - torch.logsumexp(pool.log_kernel + f[:, :, None], dim=1)
    return f, g


def _checked(
    problems: tuple[Tensor, Tensor, Tensor, Tensor], names: Callable[[int], str]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    ids, cosines, weights_a, weights_b = problems
    if cosines.shape != (*weights_a.shape, weights_b.shape[-1]) or len(weights_b) != len(ids):
        got = f"cosines {tuple(cosines.shape)}, weights {tuple(weights_a.shape)}, {tuple(weights_b.shape)}"
        raise DataError("Cosines and patch weights do not fit.", got=got, allowed="(P, N, M), (P, N), (P, M)")
    # A NaN fails every comparison. 1e-5: a float32 sum of some hundred weights is right to about 1e-6.
    valid = (cosines.abs() <= 1.0).all(dim=2).all(dim=1)
    for weights in (weights_a, weights_b):
        valid &= (weights >= 0).all(dim=1) & ((weights.sum(dim=1) - 1.0).abs() <= 1e-5)
    if not bool(valid.all()):
        raise DataError(
            "A pair's patch cosines or weights cannot be transported.",
            got=names(int(ids[~valid][0])),
            allowed="finite cosines in [-1, 1]; weights >= 0 that sum to 1",
        )
    return problems
