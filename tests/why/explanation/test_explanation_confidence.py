"""xFace's confidence: the known answer of two normal distributions, its bounds, and what it refuses."""

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.why.explanation.shared.confidence import Confidence, fit_confidence


def normal_scores(num_genuine: int, num_impostor: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances of mean 0.6 and 1.0, both of deviation 0.1."""
    rng = np.random.default_rng(0)
    distances = np.concatenate([rng.normal(0.6, 0.1, num_genuine), rng.normal(1.0, 0.1, num_impostor)])
    return 1 - distances, np.arange(len(distances)) < num_genuine


@pytest.mark.parametrize("num_impostor", [100_000, 20_000])
def test_of_two_normal_distributions_it_is_the_probability(num_impostor):
    """Their ratio is 1 / (1 + exp(k (d - m))) exactly, k = (1.0 - 0.6) / 0.1², m = 0.8, whatever the numbers of pairs."""
    found = fit_confidence(*normal_scores(100_000, num_impostor), threshold=0.2)
    assert found.steepness == pytest.approx(40, rel=0.05)  # of 2,000 bins, the few around the middle decide
    assert found.middle == pytest.approx(0.8, abs=0.005)
    assert found.low == pytest.approx(0, abs=0.005)
    assert found.high == pytest.approx(1, abs=0.005)


def test_by_hand():
    found = Confidence(low=0.1, high=0.9, steepness=10.0, middle=0.5, threshold=0.45)
    assert found.of_match(0.5) == pytest.approx(0.5)
    assert found.of_match([-1.0, 1.0]) == pytest.approx([0.1, 0.1 + 0.8 / (1 + np.exp(-5))], abs=1e-6)
    # 0.45 is no match, and the curve there: d = 0.55
    at_threshold = 0.1 + 0.8 / (1 + np.exp(0.5))
    assert found.of_decision([0.5, 0.45]) == pytest.approx([0.5, 1 - at_threshold])


def test_it_rises_with_the_score_within_0_and_1_however_few_and_far_apart_the_pairs_are():
    scores = np.linspace(-1, 1, 401)
    for genuine, impostor in (
        ([0.9], [0.1]),
        ([0.5, 0.6], [0.2, 0.3, 0.55]),
        ([1.0], [-1.0]),
        ([0.1, 0.2], [0.8, 0.7]),
    ):
        values = np.array(genuine + impostor)
        found = fit_confidence(values, np.arange(len(values)) < len(genuine), threshold=float(values.mean()))
        curve = found.of_match(scores)
        assert (np.diff(curve) >= 0).all()
        assert 0 <= curve[0] <= curve[-1] <= 1
        assert ((found.of_decision(scores) >= 0) & (found.of_decision(scores) <= 1)).all()


def test_separable_pairs_are_told_apart_at_the_threshold():
    found = fit_confidence([0.9, 0.8, 0.1, 0.2], np.array([True, True, False, False]), threshold=0.4)
    assert found.middle == pytest.approx(0.6, abs=0.002)  # two bins
    assert found.of_match([0.45, 0.35]) == pytest.approx([1, 0], abs=1e-3)


def test_what_cannot_be_fitted_is_named():
    labels = np.array([True, False])
    with pytest.raises(DataError, match=r"threshold lies outside[\s\S]*0.95[\s\S]*0.2 to 0.8"):
        fit_confidence([0.8, 0.2], labels, threshold=0.95)
    with pytest.raises(DataError, match="is of cosines"):
        fit_confidence([1.8, 0.2], labels, threshold=0.5)
    with pytest.raises(DataError, match="NaN"):
        fit_confidence([np.nan, 0.2], labels, threshold=0.5)
    with pytest.raises(DataError, match="both genuine and impostor"):
        fit_confidence([0.8, 0.2], np.array([True, True]), threshold=0.5)
