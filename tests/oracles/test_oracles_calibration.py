"""Isotonic blocks and minCllr by formulas that pool nothing; figures on resamples against data in which pairs are repeated."""

import numpy as np
import pytest

from pipeline_lib.core.roc import area_under, equal_error_rate, ranked_scores, roc_curve
from pipeline_lib.matching.verification.isotonic_curve import pooled
from pipeline_lib.matching.verification.likelihood import min_cllr
from pipeline_lib.matching.verification.reliability import calibration_error
from pipeline_lib.matching.verification.resampled_pairs import ResampledPairs
from pipeline_lib.matching.verification.resampled_roc import resampled_roc


@pytest.fixture(params=[(seed, decimals) for seed in range(2) for decimals in (1, 6)])
def pairs(request):
    """Twenty people, each met by a few others; many ties or none."""
    seed, decimals = request.param
    rng = np.random.default_rng(seed)
    rows = [(a, a) for a in range(20) for _ in range(3)]
    rows += [(a, b) for a in range(20) for b in range(a) if a % 4 == b % 4]
    people = np.array([[f"person {a}", f"person {b}"] for a, b in rows])
    genuine = people[:, 0] == people[:, 1]
    return people, genuine, (0.4 * genuine + rng.normal(0, 0.3, len(rows))).round(decimals)


def isotonic_means(values: list[float], counts: list[int]) -> np.ndarray:
    """max over j <= i of min over k >= i of the mean of j..k (Robertson, Wright, Dykstra 1988, theorem 1.4.4)."""

    def mean(j: int, k: int) -> float:
        return float(np.dot(values[j : k + 1], counts[j : k + 1]) / np.sum(counts[j : k + 1]))

    num = len(values)
    return np.array([max(min(mean(j, k) for k in range(i, num)) for j in range(i + 1)) for i in range(num)])


def test_blocks_and_min_cllr_against_max_min(pairs):
    _, genuine, scores = pairs
    scores, genuine = scores[::2], genuine[::2]
    distinct = sorted(set(scores))
    counts = [int((scores == value).sum()) for value in distinct]
    fitted = isotonic_means([float(genuine[scores == value].mean()) for value in distinct], counts)
    blocks = pooled(scores, genuine.astype(float))
    np.testing.assert_allclose(blocks.means, np.unique(fitted.round(12)), atol=1e-11)
    shares = fitted[[distinct.index(value) for value in scores]]
    with np.errstate(divide="ignore"):
        ratios = shares / (1 - shares) * (~genuine).sum() / genuine.sum()
        expected = (np.log2(1 + 1 / ratios[genuine]).mean() + np.log2(1 + ratios[~genuine]).mean()) / 2
    assert min_cllr(scores, genuine) == pytest.approx(expected, abs=1e-9)


def test_figures_against_repeated_pairs(pairs):
    people, genuine, scores = pairs
    rates = [0.3, 0.05]
    resampled = ResampledPairs(people, genuine, 40, np.random.default_rng(1))
    weights = np.concatenate(list(resampled.blocks()), axis=1)
    assert weights.shape == (len(genuine), 40)
    chances = np.clip(scores + 0.333, 0, 1)  # no one at an edge of a bin, where roundings differ
    found = resampled_roc(ranked_scores(scores, genuine), weights, rates)
    errors = calibration_error(chances, genuine, weights)
    for times, figures, error in zip(weights.T.astype(int), found.T, errors, strict=True):
        rows = np.repeat(np.arange(len(genuine)), times)
        roc = roc_curve(scores[rows], genuine[rows])
        tars = [roc.tar[roc.far <= rate + 1e-12][-1] for rate in rates]
        np.testing.assert_allclose(figures, [area_under(roc), equal_error_rate(roc)[0], *tars], atol=1e-12)
        bins = np.digitize(chances[rows], np.linspace(0, 1, 11)[1:-1])
        gaps = [abs(np.sum(chances[rows][bins == b] - genuine[rows][bins == b])) for b in range(10)]
        assert error == pytest.approx(sum(gaps) / len(rows), abs=1e-12)


def test_pairs_count_as_their_people_were_drawn(pairs):
    people, genuine, _ = pairs
    weights = next(ResampledPairs(people, genuine, 25, np.random.default_rng(2)).blocks())
    own = {name: weights[row] for row, (name, other) in enumerate(people) if name == other}
    for row, (a, b) in enumerate(people):
        np.testing.assert_array_equal(weights[row], own[a] if a == b else own[a] * own[b])
