"""DPR curves: rates, areas and intervals by hand, and against another way of counting."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline_lib.core.dpr import area, decision_errors, ends, resampled_curves
from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.schemas.replacement import REPLACEMENT


def replaced(scores, genuine, people=None, images=None, threshold=0.5) -> pa.Table:
    """A table of one protocol; scores (N, 21) or, for a pair that never changes, one value each."""
    people = people or [(f"p{n}", f"p{n}" if of else f"q{n}") for n, of in enumerate(genuine)]
    rows = [
        {
            "protocol": "made", "image_a": str((images or range(len(genuine)))[n]), "image_b": "b", "identity_a": people[n][0],
            "identity_b": people[n][1], "genuine": of, "method": "m", "stranger": None, "threshold": threshold,
            "clean_score": 0.9, "scores": np.broadcast_to(scores[n], 21).tolist(),
        }
        for n, of in enumerate(genuine)
    ]  # fmt: skip
    return table_from_rows(rows, REPLACEMENT)


def falling(step: int) -> list[float]:
    """A score that is above the threshold until a step, from which on it is below."""
    return [0.9] * step + [0.1] * (21 - step)


def test_a_decision_at_the_threshold_is_a_match():
    scores = [[0.5, 0.49], [0.5, 0.49]]
    assert decision_errors(scores, [0.5, 0.5], [True, False]).tolist() == [[0, 1], [1, 0]]


def test_areas_by_hand():
    assert area(np.ones(21)) == pytest.approx(100)
    assert area(np.linspace(1, 0, 21)) == pytest.approx(50)
    # Wrong at 0, 5, 10 and 15 %, right from 20 % on: trapezoids of 5 + 5 + 5, and half of one.
    assert area(np.array([1.0] * 4 + [0.0] * 17)) == pytest.approx(17.5)


def test_curves_by_hand():
    """Of two impostor pairs one is a match until 50 %, the other never; of one genuine pair the match is lost at 95 %."""
    table = replaced([falling(10), 0.1, falling(19)], [False, False, True])
    fmr = resampled_curves({"m": table}, "FMR", seed=0, num_bootstrap=10)["m"]
    assert fmr[0].tolist() == [0.5] * 10 + [0.0] * 11
    assert float(area(fmr)[0]) == pytest.approx(0.5 * (9 * 5 + 2.5))
    fnmr = resampled_curves({"m": table}, "FNMR", seed=0)["m"]
    assert fnmr.tolist() == [[0.0] * 19 + [1.0] * 2]  # one person: nothing to resample
    assert ends(area(fnmr)[1:]) is None


def test_rates_on_resamples_are_those_of_counted_out_pairs():
    """Each resample's people written out, each copy with its own pairs."""
    rng = np.random.default_rng(3)
    names = ["anna", "ben", "carl", "dora"]
    people = [(a, b) for a in names for b in names if a < b]
    scores = rng.random((len(people), 21))
    table = replaced(scores, [False] * len(people), people)
    found = resampled_curves({"m": table}, "FMR", seed=5, num_bootstrap=40)["m"]
    drawn = np.random.default_rng(5).integers(4, size=(40, 4))
    expected = []
    for draw in [range(4), *drawn]:
        copies = [names[i] for i in draw]
        rows = [scores[people.index((a, b))] >= 0.5 for a in copies for b in copies if (a, b) in people]
        if rows:
            expected.append(np.mean(rows, axis=0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)  # sums in another order


def test_methods_are_compared_on_their_common_pairs_and_the_same_people():
    genuine = [True] * 4
    first = replaced([falling(s) for s in (3, 9, 12, 20)], genuine, images=[1, 2, 3, 4])
    shuffled = first.take([3, 1, 0, 2])
    other = shuffled.slice(0, 3)
    both = resampled_curves({"a": first, "b": other}, "FNMR", seed=1)
    np.testing.assert_array_equal(both["a"], both["b"])  # the same three pairs, whatever their order
    assert both["a"][0, 12] == pytest.approx(2 / 3)
    assert len(resampled_curves({"a": first}, "FNMR", seed=1)["a"]) == 1001


def test_without_common_pairs_there_are_no_curves():
    table = replaced([0.9], [True])
    assert resampled_curves({"m": table}, "FMR", seed=0) == {}
    assert resampled_curves({"m": table, "n": replaced([0.9], [True], images=[7])}, "FNMR", seed=0) == {}
