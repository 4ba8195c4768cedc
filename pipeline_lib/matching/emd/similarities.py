"""Patch-wise earth mover's distance of many pairs of faces, each as if it were alone."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.emd.exact import exact_similarity
from pipeline_lib.matching.emd.patches import Floats, UnitPatches
from pipeline_lib.matching.emd.sinkhorn import MIN_KERNEL_REGULARISATION, Sinkhorn, solve
from pipeline_lib.matching.emd.weights import WEIGHTS, no_weight, raw_weights

POOL = 4096  # pairs in work on a GPU: 64 give a sixtieth of the pairs/s there


def emd_similarities(
    a: UnitPatches,
    b: UnitPatches,
    pairs: npt.NDArray[np.int64],
    weights: str,
    settings: Sinkhorn,
    names: Callable[[int], str] = "pair {}".format,
    *,
    skip_weightless: bool = False,
    exact: bool = False,
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """EMD similarity Σ T·cos of many pairs of images, solved where their patches are: on the CPU by one thread (kernel), which
    holds no lock, so that several can share the pairs; elsewhere 4,096 at a time (sinkhorn.solve).

    A pair's result does not depend on the others; on the CPU it is the same bits in any company.

    Args:
        a: patches of A images, for example the queries.
        b: patches of B images, for example the gallery; their grid may be another, their patches have as many values.
        pairs: int64 (P, 2), row of a and row of b.
        weights: a key of weights.WEIGHTS.
        settings: see there.
        names: what an error calls pair number p.
        skip_weightless: whether a pair in which all weights of an image are 0 has the similarity NaN, and is no error.
        exact: the unregularised optimum by linear programming instead, some thousand times as slow.

    Returns:
        float32 (P,) similarities in [-1, 1], and bool (P,), False where a pair did not converge.

    Raises:
        DataError: all weights of an image are 0, the patches have different numbers of values, the weights need what the images
            lack, or a number left the range of float32 (not on the CPU).
    """
    if a.unit.shape[2] != b.unit.shape[2]:
        got = f"{a.unit.shape[2]} and {b.unit.shape[2]} values"
        raise DataError("Patches of different networks cannot be compared.", got=got, allowed="as many values in both")
    if exact:
        similarity, error = _exact(a, b, pairs, weights, names)
    elif a.unit.device.type == "cpu":
        similarity, error = _on_a_core(a, b, pairs, weights, settings)
    else:
        similarity, error = _in_pools(a, b, pairs, weights, settings, names)
    weightless = np.isnan(error)
    if weightless.any() and not skip_weightless:
        raise no_weight(weights, names(int(np.argmax(weightless))))
    return similarity, ~(error > settings.tolerance)


def _on_a_core(
    a: UnitPatches, b: UnitPatches, pairs: npt.NDArray[np.int64], weights: str, settings: Sinkhorn
) -> tuple[Floats, Floats]:
    """Similarity and marginal error, both NaN where all weights of an image are 0."""
    from pipeline_lib.matching.emd.kernel import similarities  # and with it numba

    sides = WEIGHTS[weights](a, b.unit.shape[1]), WEIGHTS[weights](b, a.unit.shape[1])
    nothing = torch.empty(0, a.unit.shape[2])
    towards = [nothing if side.towards is None else side.towards for side in sides]
    similarity, error = np.empty(len(pairs), np.float32), np.empty(len(pairs), np.float32)
    similarities(
        _array(a.unit),
        _array(b.unit),
        _array(sides[0].own),
        _array(sides[1].own),
        _array(towards[0]),
        _array(towards[1]),
        np.ascontiguousarray(pairs),
        float(settings.regularisation),
        float(settings.tolerance),
        settings.max_iterations,
        settings.regularisation < MIN_KERNEL_REGULARISATION,
        similarity,
        error,
    )
    return similarity, error


def _in_pools(
    a: UnitPatches,
    b: UnitPatches,
    pairs: npt.NDArray[np.int64],
    weights: str,
    settings: Sinkhorn,
    names: Callable[[int], str],
) -> tuple[Floats, Floats]:
    """As _on_a_core. All products have one shape, whatever the number of pairs: the last places are filled with copies."""
    device = a.unit.device
    index = torch.from_numpy(pairs).to(device)
    similarity, error = torch.zeros(len(index), device=device), torch.zeros(len(index), device=device)

    def problems() -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        for first in range(0, len(index), POOL):
            ids = torch.arange(first, first + POOL, device=device)
            cosines, w_a, w_b = _weighed(a, b, index[ids.clamp_max(len(index) - 1)], weights)
            weightless = w_a.isnan().any(dim=1) | w_b.isnan().any(dim=1)
            error[ids[weightless & (ids < len(index))]] = torch.nan
            w_a, w_b = (torch.where(weightless[:, None], 1.0 / w.shape[1], w) for w in (w_a, w_b))
            yield torch.where(ids < len(index), ids, -1), cosines, w_a, w_b

    for done, _, scores, errors in solve(problems(), settings, names):
        weightless = error[done].isnan()
        similarity[done], error[done] = (
            torch.where(weightless, torch.nan, scores),
            torch.where(weightless, torch.nan, errors),
        )
    return similarity.cpu().numpy(), error.cpu().numpy()


def _exact(
    a: UnitPatches, b: UnitPatches, pairs: npt.NDArray[np.int64], weights: str, names: Callable[[int], str]
) -> tuple[Floats, Floats]:
    """As _on_a_core; the marginal error is 0."""
    similarity, error = np.full(len(pairs), np.nan, np.float32), np.full(len(pairs), np.nan, np.float32)
    index = torch.from_numpy(pairs).to(a.unit.device)
    for p in range(len(pairs)):
        cosines, w_a, w_b = (array[0].cpu().numpy() for array in _weighed(a, b, index[p : p + 1], weights))
        if not np.isnan(w_a).any() and not np.isnan(w_b).any():
            similarity[p], error[p] = exact_similarity(cosines, w_a, w_b, names(p)), 0.0
    return similarity, error


def _weighed(a: UnitPatches, b: UnitPatches, rows: Tensor, weights: str) -> tuple[Tensor, Tensor, Tensor]:
    """Cosines (P, N, M) and weights (P, N), (P, M) of the pairs `rows` (P, 2); an image's weights are NaN where all are 0."""
    chosen_a, chosen_b = a.take(rows[:, 0]), b.take(rows[:, 1])
    cosines = torch.bmm(chosen_a.unit, chosen_b.unit.transpose(1, 2)).clamp_(-1.0, 1.0)
    w_a, w_b = raw_weights(weights, chosen_a, chosen_b)
    return cosines, w_a / w_a.sum(dim=1, keepdim=True), w_b / w_b.sum(dim=1, keepdim=True)


def _array(values: Tensor) -> Floats:
    array: Floats = np.ascontiguousarray(values.numpy())
    return array
