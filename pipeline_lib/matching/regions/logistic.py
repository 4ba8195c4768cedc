"""One logistic regression of pairs on their regions' cosines."""

import numpy as np

from pipeline_lib.core.roc import Bools, Doubles
from pipeline_lib.matching.regions.non_negative import fit_non_negative

CONSTANT_BELOW = 1e-6


def fit_logistic(
    cosines: Doubles, genuine: Bools, strength: float, counts: Doubles, non_negative: bool = False
) -> tuple[Doubles, float]:
    """Weights and intercept of one regression, for cosines as they are.

        minimise ½‖w'‖² + C·Σ_n counts_n·log(1 + exp(-y_n(w'·z_n + b))),  z = (cosines - mean)/σ,  y = ±1

    and w' >= 0 where asked for.

    Args:
        cosines: (N, K), finite.
        genuine: bool (N,), both classes.
        strength: C.
        counts: (N,), positive; how often each pair counts, in the mean and σ too, as if its row stood there so often.
    """
    mean = np.average(cosines, axis=0, weights=counts)
    spread = np.sqrt(np.average((cosines - mean) ** 2, axis=0, weights=counts))
    # A region that never varies beyond the rounding of float32 cosines must not be blown up to one that does.
    spread = np.where(spread > CONSTANT_BELOW, spread, 1.0)
    if non_negative:
        scaled, intercept = fit_non_negative((cosines - mean) / spread, genuine, strength, counts)
    else:
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=strength, tol=1e-8, max_iter=1000)
        model.fit((cosines - mean) / spread, genuine, sample_weight=counts)
        scaled, intercept = model.coef_[0], float(model.intercept_[0])
    weights = scaled / spread
    return weights, float(intercept - weights @ mean)
