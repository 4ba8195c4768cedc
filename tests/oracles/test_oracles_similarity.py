"""Neighbour search, DAM, RRFNet's patch sum and the region regression against slow implementations."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from pipeline_lib.core.cosine import unit
from pipeline_lib.matching.dam.dam import log_dam, log_lid, nearest_cosines
from pipeline_lib.matching.regions.weights import fit_region_weights


@pytest.mark.parametrize("k", [1, 3, 40])
@pytest.mark.parametrize("leave_out", [False, True])
def test_nearest_against_sorting_everything(k, leave_out):
    rng = np.random.default_rng(k)
    vectors, anchors = rng.normal(size=(20, 6)), rng.normal(size=(41, 6))
    anchors[10] = anchors[5]  # equal neighbours both count
    left_out = rng.integers(-1, 41, size=20) if leave_out else None
    found = nearest_cosines(vectors, anchors, k, left_out)
    for row, vector in enumerate(vectors):
        cosines = sorted(
            (
                float(vector @ anchor) / (math.hypot(*vector) * math.hypot(*anchor))
                for place, anchor in enumerate(anchors)
                if left_out is None or place != left_out[row]
            ),
            reverse=True,
        )
        np.testing.assert_allclose(found[row], cosines[:k], rtol=0, atol=1e-6)  # float32 against float64


def test_dam_from_embeddings_against_the_paper_word_by_word():
    rng = np.random.default_rng(0)
    f1, f2, anchors = (unit(rng.normal(size=shape)) for shape in ((9, 6), (9, 6), (30, 6)))
    lids = [log_lid(nearest_cosines(f, anchors, 5), 2.0) for f in (f1, f2)]
    found = log_dam(np.sum(f1 * f2, axis=1), *lids, 2.0)
    for row in range(9):
        g = [sum(sorted((math.exp(2 * float(f[row] @ a)) for a in anchors), reverse=True)[:5]) for f in (f1, f2)]
        expected = math.exp(2 * float(f1[row] @ f2[row])) * (1 / g[0] + 1 / g[1])
        assert math.exp(found[row]) == pytest.approx(expected, rel=1e-5)  # cosines are float32


def test_region_weights_against_a_general_minimiser():
    rng = np.random.default_rng(2)
    genuine = np.arange(300) % 2 == 0
    cosines = rng.normal(size=(300, 3)) * [0.1, 0.5, 0.2] + genuine[:, None] * [0.1, 0.2, 0.0] + [0.0, 0.3, -0.2]
    strength = 0.05
    found = fit_region_weights(["a", "b", "c"], cosines, genuine, np.arange(300) % 3, [strength])
    scaled = (cosines - cosines.mean(axis=0)) / cosines.std(axis=0)
    sign = np.where(genuine, 1.0, -1.0)

    def loss(weights: np.ndarray) -> float:
        logits = scaled @ weights[:3] + weights[3]
        return float(strength * np.sum(np.logaddexp(0, -sign * logits)) + 0.5 * np.sum(weights[:3] ** 2))

    slow = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-8}).x
    # 1e-4: two iterative solvers.
    np.testing.assert_allclose(found.weights, slow[:3] / cosines.std(axis=0), rtol=1e-4, atol=1e-4)
    assert found.intercept == pytest.approx(slow[3] - found.weights @ cosines.mean(axis=0), abs=1e-4)


def test_held_out_log_losses_against_a_plain_loop():
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(3)
    genuine = np.arange(120) % 2 == 0
    cosines, folds = rng.normal(size=(120, 2)) + 0.5 * genuine[:, None], np.arange(120) // 40
    found = fit_region_weights(["a", "b"], cosines, genuine, folds, [0.1, 10.0])
    for strength, loss in found.log_losses.items():
        probabilities = np.empty(120)
        for fold in range(3):
            model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, tol=1e-8))
            model.fit(cosines[folds != fold], genuine[folds != fold])
            probabilities[folds == fold] = model.predict_proba(cosines[folds == fold])[:, 1]
        assert loss == pytest.approx(log_loss(genuine, probabilities), abs=1e-6)  # the solver's tolerance
