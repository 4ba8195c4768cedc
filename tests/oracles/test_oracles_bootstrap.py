"""The paired bootstrap against data sets in which pairs are really repeated."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pipeline_lib.matching.verification.paired_bootstrap import PairBootstrap


@pytest.fixture(params=[0, 1])
def pairs(request):
    """Twenty people, each met by a few others; ties among the scores."""
    rng = np.random.default_rng(request.param)
    rows = [(a, a) for a in range(20) for _ in range(3)]
    rows += [(a, b) for a in range(20) for b in range(a) if a % 4 == b % 4]
    people = np.array(rows)
    genuine = people[:, 0] == people[:, 1]
    cosines = np.clip(0.3 * genuine + rng.normal(0, 0.25, len(rows)), -1, 1).round(2)
    return people, genuine, cosines, PairBootstrap(people, genuine, 30, rng)


def repeated(people, times):
    """The rows of the data set that a resample is: every copy of a person brings its pairs, and meets every copy of others."""
    rows = []
    for row, (a, b) in enumerate(people):
        for _ in range(times[a]):
            rows += [row] if a == b else [row for _ in range(times[b])]
    return np.array(rows)


def test_auc_against_repeated_pairs(pairs):
    people, genuine, cosines, bootstrap = pairs
    for times, found in zip(bootstrap.times, bootstrap.auc(cosines), strict=True):
        rows = repeated(people, times)
        assert found == pytest.approx(roc_auc_score(genuine[rows], cosines[rows]), abs=1e-12)


def test_accuracy_against_repeated_pairs_and_every_threshold(pairs):
    people, genuine, cosines, bootstrap = pairs
    for times, found in zip(bootstrap.times, bootstrap.accuracy(cosines), strict=True):
        rows = repeated(people, times)
        thresholds = [-2.0, *cosines[rows], 2.0]
        best = max(np.mean((cosines[rows] >= threshold) == genuine[rows]) for threshold in thresholds)
        assert found == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("rate", [0.03, 0.1, 0.5])
def test_tar_at_far_against_repeated_pairs_and_every_threshold(pairs, rate):
    people, genuine, cosines, bootstrap = pairs
    for times, found in zip(bootstrap.times, bootstrap.tar_at_far(cosines, rate), strict=True):
        rows = repeated(people, times)
        accepted = [cosines[rows] >= threshold for threshold in (*cosines[rows], 2.0)]
        num_allowed = int(rate * (~genuine[rows]).sum() + 1e-9)
        tars = [np.mean(each[genuine[rows]]) for each in accepted if (each & ~genuine[rows]).sum() <= num_allowed]
        assert found == pytest.approx(max(tars), abs=1e-12)
