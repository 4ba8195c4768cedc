"""ROC, AUC, thresholds, folds and Platt's curve against slow or foreign implementations."""

import numpy as np
import pytest
from scipy.optimize import brentq, minimize
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from pipeline_lib.core.roc import area_under, equal_error_rate, roc_curve, tar_at_far
from pipeline_lib.matching.verification.calibration import fit_calibration
from pipeline_lib.matching.verification.protocols.kfold import cosine_fold_accuracy, score_fold_accuracy
from pipeline_lib.matching.verification.threshold import best_threshold


def drawn(seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of overlapping classes (to one decimal: many ties), labels, ten folds."""
    rng = np.random.default_rng(seed)
    genuine = rng.permutation(np.arange(200) < 90)
    scores = np.clip(rng.normal(size=200) * 0.25 + 0.3 * genuine, -1, 1)
    return (np.round(scores, 1) if ties else scores), genuine, np.arange(200) // 20


@pytest.fixture(params=[(seed, ties) for seed in range(3) for ties in (False, True)])
def pairs(request):
    return drawn(*request.param)


def test_roc_and_auc_against_sklearn(pairs):
    scores, genuine, _ = pairs
    far, tar, thresholds = sklearn_roc_curve(genuine, scores, drop_intermediate=False)
    roc = roc_curve(scores, genuine)
    np.testing.assert_allclose(roc.far, far, rtol=0, atol=1e-15)
    np.testing.assert_allclose(roc.tar, tar, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(roc.thresholds, thresholds)
    assert area_under(roc) == pytest.approx(roc_auc_score(genuine, scores), abs=1e-12)  # 200 float64 trapezoids


def test_auc_against_all_pairs_of_pairs(pairs):
    scores, genuine, _ = pairs
    wins = [float(g > i) + 0.5 * float(g == i) for g in scores[genuine] for i in scores[~genuine]]
    assert area_under(roc_curve(scores, genuine)) == pytest.approx(np.mean(wins), abs=1e-12)


def test_eer_against_root_finding_on_the_interpolated_curve(pairs):
    scores, genuine, _ = pairs
    far, tar, _ = sklearn_roc_curve(genuine, scores, drop_intermediate=False)
    # A parameter along the curve keeps vertical steps invertible.
    along = np.linspace(0, 1, len(far))
    root = brentq(lambda t: np.interp(t, along, far) + np.interp(t, along, tar) - 1, 0, 1, xtol=1e-14)
    assert equal_error_rate(roc_curve(scores, genuine))[0] == pytest.approx(np.interp(root, along, far), abs=1e-10)


def test_tar_at_far_against_trying_every_threshold(pairs):
    scores, genuine, _ = pairs
    for rate in (0.01, 0.05, 0.1, 0.5, 0.999):
        best = max(
            [0.0, *(np.mean(scores[genuine] >= t) for t in scores if np.mean(scores[~genuine] >= t) <= rate)],
        )
        assert tar_at_far(roc_curve(scores, genuine), rate) == best


def brute_threshold(scores: np.ndarray, genuine: np.ndarray) -> float:
    """The best accuracy over every possible decision `score > t`."""
    cuts = [-np.inf, *scores]
    return max(float(np.mean((scores > cut) == genuine)) for cut in cuts)


def test_best_threshold_against_trying_every_cut(pairs):
    scores, genuine, _ = pairs
    threshold, accuracy = best_threshold(scores, genuine)
    assert accuracy == pytest.approx(brute_threshold(scores, genuine), abs=1e-15)
    assert np.mean((scores > threshold) == genuine) == pytest.approx(accuracy, abs=1e-15)


def test_cosine_folds_against_the_loop_of_the_protocol(pairs):
    cosines, genuine, folds = pairs
    cosines = 0.99 * cosines + 0.0023  # tied scores, too, lie between the steps of 0.01, where rounding decides nothing
    # Unit vectors of these cosines in the plane, and the protocol as public code states it: a loop over thresholds.
    a = np.stack([np.ones(200), np.zeros(200)], axis=1)
    b = np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1)
    distances = np.sum((a - b) ** 2, axis=1)
    accuracies = []
    for fold in range(10):
        others = folds != fold
        best, chosen = -1.0, None
        for step in range(400):
            accuracy = np.mean((distances[others] < step / 100) == genuine[others])
            if accuracy > best:
                best, chosen = accuracy, step / 100
        accuracies.append(np.mean((distances[~others] < chosen) == genuine[~others]))
    found = cosine_fold_accuracy(cosines, genuine, folds)
    np.testing.assert_array_equal(found.accuracies, accuracies)


def test_score_folds_against_brute_force(pairs):
    scores, genuine, folds = pairs
    found = score_fold_accuracy(scores, genuine, folds)
    for place, fold in enumerate(range(10)):
        others, threshold = folds != fold, found.thresholds[place]
        assert np.mean((scores[others] > threshold) == genuine[others]) == pytest.approx(
            brute_threshold(scores[others], genuine[others]), abs=1e-15
        )
        assert found.accuracies[place] == np.mean((scores[~others] > threshold) == genuine[~others])


def test_platts_curve_against_a_general_minimiser(pairs):
    scores, genuine, _ = pairs
    found = fit_calibration(scores, genuine, "val")
    targets = np.where(genuine, 91 / 92, 1 / 112)

    def loss(weights: np.ndarray) -> float:
        logits = weights[0] * scores + weights[1]
        return float(np.sum(np.logaddexp(0, logits) - targets * logits))

    slow = minimize(loss, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12, "maxiter": 4000})
    assert [found.slope, found.intercept] == pytest.approx(slow.x, abs=1e-4)  # the simplex's precision
    assert loss(np.array([found.slope, found.intercept])) <= slow.fun + 1e-9
