"""From scores of two people to the thresholds of a search."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.verification.impostors import (
    count_impostors,
    pair_rate,
    read_impostors,
    search_rate,
    write_impostors,
)


def test_by_hand_ten_scores() -> None:
    table = count_impostors([np.arange(1, 11) / 10], 5, 5)
    assert table.false_matches == (0, 1, 2, 3, 4, 5)
    np.testing.assert_allclose(table.thresholds, [1.0, 0.9, 0.8, 0.7, 0.6, 0.5], atol=1e-7)  # float32
    assert table.threshold(0.2) == pytest.approx(0.8)  # above it are 0.9 and 1.0
    assert table.threshold(0.29) == pytest.approx(0.8)
    assert table.threshold(0.0) == pytest.approx(1.0)
    assert table.least_rate == 0.3
    assert table.rate(0.65) == 0.4  # 0.7 to 1.0 reach it
    assert table.rate(2.0) == 0.3  # none does, and ten do not show less
    assert table.rate(0.1) == 0.5


def test_no_threshold_lets_more_through_than_is_said_and_rates_are_never_too_low() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=20_000).round(2).astype(np.float32)  # with many ties
    table = count_impostors(np.split(scores, 4), 200, 200)
    for rate in (0.4, 0.1, 1e-2, 1e-3, 2e-4):
        above = (scores > table.threshold(rate)).mean()
        assert above <= rate
    for score in (0.5, 1.0, 2.0, 3.0, 9.0):
        assert table.rate(score) >= (scores >= score).mean()
    distinct = count_impostors([rng.permutation(20_000).astype(np.float32)], 200, 200)
    for rate in (0.4, 0.1, 1e-2, 1e-3):
        assert (np.arange(20_000) > distinct.threshold(rate)).mean() >= rate / 1.13  # an eighth stricter at most


def test_the_rate_of_a_search_by_hand_and_back() -> None:
    assert search_rate(0.5, 2) == pytest.approx(0.75)
    assert search_rate(0.0, 100) == 0.0
    assert pair_rate(0.75, 2) == pytest.approx(0.5)
    for fpir, num in ((0.01, 1), (0.01, 1_000_000), (0.3, 17)):
        assert search_rate(pair_rate(fpir, num), num) == pytest.approx(fpir, rel=1e-9)


@pytest.mark.parametrize("scores", [[], [np.nan, 0.1], [0.1, np.inf]])
def test_scores_that_are_none_are_refused(scores: list[float]) -> None:
    with pytest.raises(DataError, match="scores of two people"):
        count_impostors([np.array(scores)], 2, 2)


def test_files(tmp_path: Path) -> None:
    table = count_impostors([np.arange(10.0)], 5, 4)
    write_impostors(tmp_path / "i.json", table)
    assert read_impostors(tmp_path / "i.json") == table
    assert read_impostors(tmp_path / "none.json") is None
    raw = json.loads((tmp_path / "i.json").read_text())
    for damaged in ({**raw, "more": 1}, {**raw, "thresholds": raw["thresholds"][1:]}, {**raw, "num_pairs": 0}):
        (tmp_path / "i.json").write_text(json.dumps(damaged))
        with pytest.raises(DataError, match="table of impostors"):
            read_impostors(tmp_path / "i.json")
