"""1:N identification: golden ranks and rates by hand, a loop as oracle, and what is no search."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.matching.scores.shared.table import ScoreColumn, score_table
from pipeline_lib.matching.verification.cmc import cmc_rows
from pipeline_lib.matching.verification.figures import all_metrics
from pipeline_lib.matching.verification.protocols.identification import (
    Search,
    Settings,
    cmc,
    correct_pairs,
    evaluate,
    search_of,
    tpirs,
    without_some,
)
from pipeline_lib.params.verify import Verify
from pipeline_lib.schemas.pairs import PAIRS

KEYS = ("protocol", "fold", "image_a", "image_b", "genuine")
# Probes 0 to 3 are people 0 to 3, probe 4 a stranger; a row a probe.
SCORES = np.array(
    [
        [0.9, 0.1, 0.2, 0.3],  # rank 1
        [0.5, 0.5, 0.1, 0.2],  # a tie is lost: rank 2
        [0.8, 0.7, 0.6, 0.1],  # rank 3
        [0.1, 0.2, 0.3, 0.4],  # rank 1
        [0.3, 0.2, 0.45, 0.1],
    ]
)
PEOPLE = (0, 1, 2, 3, None)


def pairs_of(people: tuple[int | None, ...], num_gallery: int) -> pa.Table:
    rows = [
        ("search", probe % 2, f"probe{probe}", f"gallery{column}", column == person)
        for probe, person in enumerate(people)
        for column in range(num_gallery)
    ]
    return table_from_rows([dict(zip(KEYS, row, strict=True)) for row in rows], PAIRS)


PAIRS_BY_HAND = pairs_of(PEOPLE, 4)


def figures(**changed: Any) -> dict[str, float]:
    return evaluate(SCORES.ravel(), PAIRS_BY_HAND, [0.1], Settings(**changed), is_cosine=True)


def test_the_pairs_decided_right_are_those_of_the_accuracy() -> None:
    folds = PAIRS_BY_HAND["fold"].to_numpy()
    correct = correct_pairs(SCORES.ravel(), PAIRS_BY_HAND, Settings(), is_cosine=True)
    assert np.mean([correct[folds == fold].mean() for fold in (0, 1)]) == pytest.approx(figures()["accuracy_mean"])


def test_golden_ranks() -> None:
    found = figures(ranks=[1, 2, 3, 10])
    assert [found[f"rank@{rank}"] for rank in (1, 2, 3, 10)] == [0.5, 0.75, 1.0, 1.0]
    assert (found["num_probes"], found["num_gallery"], found["num_mated"], found["num_strangers"]) == (5, 4, 4, 1)
    assert (found["num_genuine"], found["num_impostor"]) == (4, 16)
    assert {"auc", "eer", "accuracy_mean", "tar@0.1"} <= set(found)
    np.testing.assert_array_equal(cmc(search_of(SCORES.ravel(), PAIRS_BY_HAND)), [0.5, 0.75, 1.0, 1.0])


def test_golden_open_set() -> None:
    # Three strangers, whose highest scores are 0.45, 0.35, 0.25; at an FPIR of 1/3 one may be above: t = 0.35. Of the four
    # with a mate those of rank 1 and above 0.35 are probes 0 (0.9) and 3 (0.4).
    strangers = np.array([[0.3, 0.2, 0.45, 0.1], [0.35, 0, 0, 0], [0, 0.25, 0, 0]])
    search = search_of(np.concatenate([SCORES[:4], strangers]).ravel(), pairs_of((0, 1, 2, 3, None, None, None), 4))
    assert tpirs(search, [1 / 3, 0.9, 0.3]) == {f"tpir@{1 / 3:g}": 0.5, "tpir@0.9": 0.5}  # 0.3: fewer than one stranger
    strangers[1, 0] = 0.4  # where probe 3 is: not above it
    search = search_of(np.concatenate([SCORES[:4], strangers]).ravel(), pairs_of((0, 1, 2, 3, None, None, None), 4))
    assert tpirs(search, [0.4]) == {"tpir@0.4": 0.25}
    assert tpirs(search_of(SCORES[:4].ravel(), pairs_of(PEOPLE[:4], 4)), [0.5]) == {}  # nobody is a stranger


def test_those_left_out_of_the_gallery_become_strangers() -> None:
    found = figures(left_out_share=0.5, false_positive_rates=[0.34])
    assert (found["num_mated"], found["num_strangers"], found["num_gallery"]) == (2, 3, 4)
    assert "tpir@0.34" in found
    search = search_of(SCORES.ravel(), PAIRS_BY_HAND)
    left = [without_some(search, Settings(left_out_share=0.5, seed=seed)).scores.shape for seed in range(3)]
    assert left == [(5, 2)] * 3
    assert figures(left_out_share=0.5) == figures(left_out_share=0.5)
    assert figures(left_out_share=0.5)["rank@1"] == 0.5  # ranks are of the closed set


@hypothesis_settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_loop_finds_the_same(data: st.DataObject) -> None:
    num_gallery = data.draw(st.integers(1, 6))
    people = (0, *data.draw(st.lists(st.none() | st.integers(0, num_gallery - 1), max_size=6)))
    values = data.draw(
        st.lists(st.integers(0, 5), min_size=len(people) * num_gallery, max_size=len(people) * num_gallery)
    )
    scores = np.array(values, float).reshape(len(people), num_gallery)
    search = Search(scores, np.array([[column == person for column in range(num_gallery)] for person in people]))
    ranks = []
    for row, person in zip(scores.tolist(), people, strict=True):
        if person is not None:
            ranks.append(1 + sum(other >= row[person] for column, other in enumerate(row) if column != person))
    expected = [sum(rank <= k for rank in ranks) / len(ranks) for k in range(1, num_gallery + 1)]
    np.testing.assert_allclose(cmc(search), expected, rtol=0, atol=1e-12)
    highest = [max(row) for row, person in zip(scores.tolist(), people, strict=True) if person is None]
    for rate in (0.5, 0.26):
        if rate * len(highest) < 1:
            assert not tpirs(search, [rate])
            continue
        shares = [
            sum(
                person is not None
                and row[person] > t
                and all(o < row[person] for c, o in enumerate(row) if c != person)
                for row, person in zip(scores.tolist(), people, strict=True)
            )
            / len(ranks)
            for t in sorted({-1.0, *highest})
            if sum(score > t for score in highest) <= rate * len(highest)
        ]
        assert tpirs(search, [rate])[f"tpir@{rate:g}"] == max(shares)


def test_probes_that_meet_a_part_of_the_gallery_are_left_out_of_the_search() -> None:
    alone = table_from_rows([dict(zip(KEYS, ("search", 0, "late", "gallery0", True), strict=True))], PAIRS)
    pairs = pa.concat_tables([PAIRS_BY_HAND, alone])
    found = evaluate([*SCORES.ravel(), 0.0], pairs, [0.1], Settings(), is_cosine=False)
    assert (found["num_probes"], found["num_genuine"], found["rank@1"]) == (5, 5, 0.5)


def test_pairs_that_are_no_search_are_refused() -> None:
    rows = [("lfw", k % 2, f"a{k}", f"b{k}", k < 4) for k in range(8)]
    pairs = table_from_rows([dict(zip(KEYS, row, strict=True)) for row in rows], PAIRS)
    with pytest.raises(DataError, match=r"no search[\s\S]*0 of 8"):
        evaluate(np.linspace(0, 1, 8), pairs, [0.1], Settings(), is_cosine=False)


def test_params_choose_it_and_its_curve_is_written() -> None:
    columns = {"cosine:net": ScoreColumn("cosine", True, True)}
    table = score_table(PAIRS_BY_HAND, {"cosine:net": SCORES.ravel()}, columns)
    params = Verify.model_validate(
        {
            "decide": "even_odds",
            "false_accept_rates": [0.1],
            "protocols": {"search": {"kind": "identification", "ranks": [2]}},
        }
    )
    assert all_metrics(table, {"search": 0}, params)["search"]["cosine:net"]["rank@2"] == 0.75
    assert list(cmc_rows(table, params)) == [
        ("search", "cosine:net", rank, share) for rank, share in ((1, 0.5), (2, 0.75), (3, 1.0), (4, 1.0))
    ]
    assert not list(cmc_rows(table, params.model_copy(update={"protocols": {}})))
