"""Logistic regression whose weights are not below 0: no region's likeness speaks against a match."""

from typing import Any

import numpy as np

from pipeline_lib.core.roc import Bools, Doubles

GRADIENT = 1e-9  # of the mean loss, at which the search ends
MAX_STEPS = 5000


def fit_non_negative(features: Doubles, genuine: Bools, strength: float, counts: Doubles) -> tuple[Doubles, float]:
    """Weights and intercept of

        minimise ½‖w‖² + C·Σ_n counts_n·log(1 + exp(-y_n(w·x_n + b)))  over w >= 0 and b,  y = ±1

    by L-BFGS-B (Byrd et al. 1995). At the minimum the gradient is 0 where w > 0, and not below 0 where w = 0.

    Args:
        features: (N, K), finite, each about as wide as the others.
        genuine: bool (N,), both classes.
        strength: C.
        counts: (N,), positive.
    """
    from scipy.optimize import minimize

    signs, num = np.where(genuine, 1.0, -1.0), features.shape[1]
    scale = 1.0 / (strength * counts.sum())  # the mean loss: its gradients do not grow with the pairs

    def objective(values: Doubles) -> tuple[float, Doubles]:
        weights, intercept = values[:num], values[num]
        margins = signs * (features @ weights + intercept)
        pulls = -signs * counts * 0.5 * (1.0 - np.tanh(0.5 * margins)) * strength * scale
        loss = strength * scale * np.sum(counts * np.logaddexp(0.0, -margins)) + scale * 0.5 * weights @ weights
        return float(loss), np.append(pulls @ features + scale * weights, pulls.sum())

    bounds: list[tuple[float | None, float | None]] = [*[(0.0, None)] * num, (None, None)]
    options: Any = {"maxiter": MAX_STEPS, "maxfun": 10 * MAX_STEPS, "ftol": 1e-15, "gtol": GRADIENT, "maxcor": 20}
    found = minimize(objective, np.zeros(num + 1), jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return found[:num], float(found[num])
