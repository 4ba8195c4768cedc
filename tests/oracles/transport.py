"""Slow, exact or float64 solvers of one transport problem, through POT; and EMD similarity by them."""

import numpy as np
import numpy.typing as npt
import ot

Array = npt.NDArray[np.float64]


def exact_similarity(cosines: Array, a: Array, b: Array) -> float:
    """Σ T·cos at the exact optimum of the linear programme."""
    return float((ot.emd(a / a.sum(), b / b.sum(), 1.0 - cosines) * cosines).sum())


def sinkhorn_plan(cosines: Array, a: Array, b: Array, regularisation: float) -> Array:
    """The entropic plan in float64, log-domain, to a marginal error of 1e-12; zero weights are left out and put back."""
    rows, columns = np.flatnonzero(a), np.flatnonzero(b)
    cost = 1.0 - cosines[np.ix_(rows, columns)]
    plan = np.zeros_like(cosines)
    plan[np.ix_(rows, columns)] = ot.sinkhorn(
        a[rows] / a.sum(),
        b[columns] / b.sum(),
        cost,
        regularisation,
        method="sinkhorn_log",
        numItermax=100_000,
        stopThr=1e-12,
    )
    return plan
