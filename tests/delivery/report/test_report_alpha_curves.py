"""P@1 over alpha from the table of candidates: as the stage would have ranked at that alpha."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.delivery.report.alpha_curves import ALPHAS, alpha_curves, right_by_alpha
from pipeline_lib.delivery.report.figures import alpha_figure
from pipeline_lib.matching.retrieval.rerank import blended_scores, reranked_order
from pipeline_lib.schemas.ranks import RANKS

NUM_QUERIES, K, DEPTH = 30, 6, 8


def table(seed: int = 0, num_decimals: int = 1) -> tuple[pa.Table, dict[str, np.ndarray]]:
    """Candidates with many ties (scores of one decimal), some that could not be compared, and two beyond the first k."""
    rng = np.random.default_rng(seed)
    cosines = np.round(-np.sort(-rng.random((NUM_QUERIES, DEPTH)), axis=1), num_decimals).astype(np.float32)
    compared = np.round(rng.random((NUM_QUERIES, K)), num_decimals).astype(np.float32)
    carried, genuine = rng.random((NUM_QUERIES, K)) < 0.8, rng.random((NUM_QUERIES, DEPTH)) < 0.3
    rows = [
        {
            "query_key": f"q{query}", "query_identity": f"p{query % 7}", "kind": "mask" if query % 2 else "crop",
            "gallery_key": f"g{place}", "genuine": bool(genuine[query, place]), "num_relevant": 2, "rank_cosine": place + 1,
            "rank_reranked": place + 1, "cosine": float(cosines[query, place]),
            "compared": float(compared[query, place]) if place < K and carried[query, place] else None, "reranked": None,
        }
        for query in range(NUM_QUERIES) for place in range(DEPTH)
    ]  # fmt: skip
    return table_from_rows(rows, RANKS), {
        "cosine": cosines,
        "compared": compared,
        "carried": carried,
        "genuine": genuine,
    }


@pytest.mark.parametrize("seed", range(3))
def test_each_alpha_s_first_places_are_those_of_stage_two(seed: int) -> None:
    ranks, made = table(seed)
    found = right_by_alpha(ranks)
    for column, alpha in enumerate(ALPHAS):
        blended = blended_scores(made["cosine"][:, :K], made["compared"], float(alpha))
        order = reranked_order(blended, made["carried"], DEPTH)
        expected = np.take_along_axis(made["genuine"], order, axis=1)[:, 0]
        np.testing.assert_array_equal(found[:, column], expected)


def test_alpha_zero_is_the_cosine_s_order_even_where_cosines_tie() -> None:
    ranks, made = table()
    np.testing.assert_array_equal(right_by_alpha(ranks)[:, 0], made["genuine"][:, 0])


def test_curves_are_means_of_each_kind_and_all_have_an_interval() -> None:
    ranks, _ = table()
    right, curves = right_by_alpha(ranks), alpha_curves(ranks)
    assert list(curves) == ["all", "crop", "mask"]
    np.testing.assert_allclose(curves["all"][1], 100 * right.mean(axis=0))
    np.testing.assert_allclose(curves["mask"][1], 100 * right[1::2].mean(axis=0))
    _, value, low, high = curves["all"]
    assert (low <= value).all()
    assert (value <= high).all()
    assert np.isnan(curves["crop"][2]).all()
    assert list(alpha_curves(ranks.filter(pa.compute.equal(ranks["kind"], "mask")))) == ["all"]  # one kind is all
    assert alpha_figure(curves, 0.7).startswith(b"<?xml")


def test_queries_without_a_right_answer_do_not_count() -> None:
    ranks, _ = table()
    where = ranks.schema.get_field_index("num_relevant")
    none = ranks.set_column(where, "num_relevant", pa.array([0] * 8 + [2] * (len(ranks) - 8), pa.int32()))
    np.testing.assert_allclose(alpha_curves(none)["all"][1], 100 * right_by_alpha(ranks)[1:].mean(axis=0))
