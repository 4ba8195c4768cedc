"""Re-ranking: the table and the pictures tell one story."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.delivery.report import strips
from pipeline_lib.delivery.report.reranking_tables import (
    Figures,
    Speed,
    kinds_table,
    searched_words,
    speed_of,
    summary_table,
)
from pipeline_lib.delivery.report.strips import choose_queries, first_places, read_strips
from pipeline_lib.schemas.ranks import RANKS


def candidates(key: str, kind: str, genuine: Sequence[bool], reranked: Sequence[int], num_relevant: int = 1) -> list:
    """A query's candidates in the order of stage 1, g0, g1, ...: whether each shows its person, and its later rank."""
    return [
        {
            "query_key": key, "query_identity": "x", "kind": kind, "gallery_key": f"g{place}", "genuine": is_genuine,
            "num_relevant": num_relevant,
            "rank_cosine": place + 1, "rank_reranked": rank, "cosine": 0.5, "compared": 0.5, "reranked": 0.5,
        }
        for place, (is_genuine, rank) in enumerate(zip(genuine, reranked, strict=True))
    ]  # fmt: skip


def ranks_of(*queries: tuple[str, str, bool, bool]) -> pa.Table:
    """Queries (key, kind, right before, right after) with three candidates, one of them right."""
    rows = []
    for key, kind, before, after in queries:
        right = 0 if before else 2
        others = [place for place in range(3) if place != right]
        order = [right, *others] if after else [*others, right]
        rows += candidates(key, kind, [place == right for place in range(3)], [order.index(k) + 1 for k in range(3)])
    return table_from_rows(rows, RANKS)


RANKED = ranks_of(
    ("1", "crop", False, True), ("2", "crop", False, True), ("3", "mask", False, True),
    ("4", "mask", True, False), ("5", "mask", True, True), ("6", "crop", True, False), ("7", "crop", True, False),
    ("8", "hat", False, False),
)  # fmt: skip


def metrics_of(num_queries: int, before: int, after: int, num_left_out: int = 0) -> dict[str, object]:
    ends = {"low": None, "high": None} if num_queries < 4 else {"low": 0.1, "high": 0.9}
    stages = {
        name: {
            "p_at_1": {"value": count / num_queries, **ends},
            "rp": {"value": 0.25, **ends},
            "map_at_r": {"value": 0.125, **ends},
        }
        for name, count in (("cosine", before), ("reranked", after), ("bound", num_queries), ("change", after - before))
    }
    return {
        **stages,
        "num_not_converged": 0,
        "num_queries": num_queries,
        "num_left_out": num_left_out,
        "num_nothing_carried": 7,
    }


METRICS = {
    "all": metrics_of(8, 4, 4), "crop": metrics_of(4, 2, 2), "hat": metrics_of(1, 0, 0), "mask": metrics_of(3, 2, 2)
}  # fmt: skip


def test_the_table_puts_all_last_and_counts_what_the_pictures_show() -> None:
    table = kinds_table(METRICS, first_places(RANKED))
    assert table.columns[1:6] == ("number", "P@1 by cosine", "re-ranked", "change", "perfect")
    assert table.columns[8:] == ("right / spoilt", "skipped")  # nothing was left out, and all converged
    shares = "50.0 [10.0, 90.0]"
    assert table.rows[0] == (
        "crop", "4", shares, shares, "+0.0 [+10.0, +90.0]", "100.0", "25.0 → 25.0", "12.5 → 12.5", "2 / 2", "7"
    )  # fmt: skip
    assert [(row[0], row[1], row[2], row[8]) for row in table.rows[1:]] == [
        ("hat", "1", "0.0", "0 / 0"), ("mask", "3", "66.7", "1 / 1"), ("all", "8", shares, "3 / 3")
    ]  # fmt: skip
    assert table.groups == (False, False, False, True)


def test_figures_that_disagree_or_lack_are_named() -> None:
    with pytest.raises(DataError, match=r"crop without 'cosine'"):
        kinds_table({"crop": {}}, first_places(RANKED))
    with pytest.raises(DataError, match=r"disagree[\s\S]*mask"):
        kinds_table({**METRICS, "mask": metrics_of(3, 2, 3)}, first_places(RANKED))


def test_queries_without_a_right_answer_do_not_count() -> None:
    unanswerable = table_from_rows(candidates("9", "hat", [False], [1], num_relevant=0), RANKS)
    table = kinds_table(
        {**METRICS, "hat": metrics_of(1, 0, 0, 1)}, first_places(pa.concat_tables([RANKED, unanswerable]))
    )
    assert table.columns[9:] == ("left out", "skipped")
    assert table.rows[1][8:] == ("0 / 0", "1", "7")


def entry_of(network: str = "net", **changes: object) -> dict[str, object]:
    usual = {"kind": "emd", "network": network, "queries": "occluded", "centred": False, "top_k": 100, "alpha": 0.7}
    return {**usual, "weights": "apc", "pool": 1, **changes}


def test_the_summary_has_a_group_a_gallery_with_cosine_first_and_the_bounds_last() -> None:
    found = {
        "apc": Figures(entry_of(), {"all": metrics_of(8, 4, 6)}, Speed(0.02, 5000.0)),
        "whole": Figures(entry_of(top_k=None, alpha=1.0), {"all": metrics_of(8, 4, 2)}, Speed(0.2, 4000.0)),
        "other": Figures(
            entry_of("other", queries="gallery", pool=[1, 2]), {"all": metrics_of(8, 4, 4)}, Speed(0.1, 10.0)
        ),
    }
    table = summary_table(found)
    assert [row[:2] for row in table.rows] == [
        ("net", "cosine alone"), ("apc", "emd: apc weights, alpha 0.7, native grid, the first 100"),
        ("whole", "emd: apc weights, alpha 1, native grid, the whole gallery"), ("", "perfect, the first 100"),
        ("", "perfect, the whole gallery"), ("other, its own gallery", "cosine alone"),
        ("other", "emd: apc weights, alpha 0.7, unequal grids, the first 100"), ("", "perfect, the first 100"),
    ]  # fmt: skip
    assert table.groups == (True, False, False, False, False, True, False, False)
    assert table.rows[1][2:] == ("75.0 [10.0, 90.0]", "25.0 [10.0, 90.0]", "12.5 [10.0, 90.0]", "5,000", "20")
    assert table.rows[0][5:] == ("–", "–")
    assert {place for place in table.best if place[1] == 2} == {(1, 2), (5, 2), (6, 2)}  # the bounds do not compete


def test_speed_and_search_in_words() -> None:
    # Pairs a second: 100, 1000, 2000 on each of 2 threads; the first waited for something.
    assert speed_of([10, 10, 10], [2, 2, 2], [0.1, 0.01, 0.005]) == Speed(0.01, 2000.0)
    assert searched_words({"index": "exact", "recall": 1.0}) == ""
    assert "hnsw and found 98.8 %" in searched_words({"index": "hnsw", "recall": 0.9876})


def test_one_of_each_kind_is_shown_for_both_outcomes_in_the_order_of_the_table() -> None:
    assert choose_queries(first_places(RANKED)) == ["1", "3", "4", "6"]
    assert choose_queries(first_places(ranks_of(("5", "mask", True, True)))) == []
    assert choose_queries(first_places(ranks_of(("5", "mask", True, False)))) == ["5"]


def test_strips_are_read_in_the_order_of_each_stage() -> None:
    ranks = table_from_rows(candidates("q", "crop", [False, False, True], [3, 2, 1]), RANKS)
    (found,) = read_strips(ranks, ["q"])
    assert found.kind == "crop"
    assert [key for key, _ in found.before] == ["g0", "g1", "g2"]
    assert found.after == (("g2", True), ("g1", False), ("g0", False))


def test_a_strip_has_five_places_at_most() -> None:
    ranks = table_from_rows(candidates("q", "crop", [False] * 7, [7, 6, 5, 4, 3, 2, 1]), RANKS)
    (found,) = read_strips(ranks, ["q"])
    assert [key for key, _ in found.after] == ["g6", "g5", "g4", "g3", "g2"]


def test_ranks_without_one_first_place_a_query_are_refused() -> None:
    rows = candidates("q", "crop", [True, False], [2, 3])
    with pytest.raises(DataError, match="damaged"):
        first_places(table_from_rows(rows, RANKS))


def test_strip_is_drawn_with_framed_faces() -> None:
    face = np.full((112, 112, 3), 7, np.uint8)
    strip = strips.Strip("1", "crop", (("g", False),), (("h", True),))
    picture = strips.draw_strip(strip, {"1": face}, {"g": face, "h": face})
    side = 112 + 2 * strips.FRAME_PX + strips.GAP_PX
    assert picture.shape == (2 * side, side + 2 * strips.GAP_PX + side, 3)
    frames = {tuple(pixel) for pixel in picture.reshape(-1, 3)}
    assert {strips.RIGHT, strips.WRONG, strips.NEUTRAL, (7, 7, 7)} <= frames


def test_a_strip_shows_the_flows_between_both_rows_in_line_with_the_faces_below() -> None:
    face, flow = np.full((112, 112, 3), 7, np.uint8), np.full((112, 112, 3), 9, np.uint8)
    strip = strips.Strip("1", "crop", (("g", False), ("h", True)), (("h", True), ("g", False)))
    picture = strips.draw_strip(strip, {"1": face}, {"g": face, "h": face}, [None, flow])
    side = 112 + 2 * strips.FRAME_PX + strips.GAP_PX
    assert picture.shape == (3 * side, side + 2 * strips.GAP_PX + 2 * side, 3)
    left = side + 2 * strips.GAP_PX
    assert (picture[side + side // 2, left + side // 2] == 255).all()
    assert (picture[side + side // 2, left + side + side // 2] == 9).all()
    assert strips.draw_strip(strip, {"1": face}, {"g": face, "h": face}, [None, None]).shape[0] == 2 * side
