"""Patches in words, verdicts, tables and strips."""

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.patches.grid import layout_positions
from pipeline_lib.delivery.report import strips, verdict
from pipeline_lib.delivery.report.areas import describe_patch
from pipeline_lib.delivery.report.tables import as_text, headline_table, reranking_table
from pipeline_lib.delivery.report.verdict import AreaShare, Verdict, area_shares

ROW = {"accuracy_mean": 0.5, "accuracy_std": 0.25, "auc": 0.5, "eer": 0.125, "num_genuine": 3, "num_impostor": 4}


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ((28, 0, 56, 56), "forehead and both eyes"),
        ((28, 28, 56, 56), "both eyes and nose"),
        ((28, 56, 56, 56), "nose, mouth and chin"),
        ((0, 28, 56, 56), "left eye, nose and left cheek"),
        ((56, 28, 56, 56), "right eye, nose and right cheek"),
        ((28, 42, 28, 28), "left eye"),
        ((42, 84, 28, 28), "mouth and chin"),
        ((0, 42, 28, 28), "left edge of the face"),
        ((52, 0, 4, 4), "forehead"),
    ],
)
def test_patches_in_words(patch: tuple[int, int, int, int], words: str) -> None:
    assert describe_patch(*patch) == words


def test_mirrored_patches_have_mirrored_names() -> None:
    for size, layout in ((56, "all9"), (28, "all49")):
        for x, y in layout_positions(size, layout).tolist():
            words, mirrored = describe_patch(x, y, size, size), describe_patch(112 - size - x, y, size, size)
            swapped = words.replace("left", "\0").replace("right", "left").replace("\0", "right")
            assert sorted(swapped.replace(" and ", ", ").split(", ")) == sorted(
                mirrored.replace(" and ", ", ").split(", ")
            )


def patch(x: int, y: int, a: float, b: float) -> dict[str, float]:
    return {"x": x, "y": y, "w": 56, "h": 56, "contribution_a": a, "contribution_b": b}


def make_verdict(contributions: list[dict[str, float]], similarity: float, name: str = "a.jpg") -> Verdict:
    return Verdict(name, "b.jpg", "models:/m@champion", similarity, 0.3, similarity > 0.3, 0.75, contributions, b"png")


def test_area_shares_are_the_mean_of_both_faces_and_sum_to_the_similarity() -> None:
    shares = area_shares([patch(28, 0, 0.2, 0.4), patch(28, 56, -0.1, -0.3), patch(28, 0, 0.1, 0.1)])
    assert [share.area for share in shares] == ["forehead and both eyes", "nose, mouth and chin"]
    assert [share.contribution for share in shares] == pytest.approx([0.4, -0.2])
    assert [share.num_patches for share in shares] == [2, 1]
    assert isinstance(shares[0], AreaShare)


def test_text_says_verdict_reasons_and_caveats() -> None:
    text = verdict.as_text(make_verdict([patch(28, 0, 0.5, 0.5), patch(28, 56, -0.1, -0.1)], 0.4))
    assert text.startswith("Match:")
    assert "At least half of the similarity comes from: forehead and both eyes." in text
    assert "Against a match spoke: nose, mouth and chin." in text
    assert "75.0%" in text
    assert verdict.PROBABILITY_CAVEAT in text
    assert verdict.as_text(make_verdict([patch(28, 0, 0.1, 0.1)], 0.1)).startswith("No match:")


@pytest.mark.parametrize("value", [-0.2, 0.0])
def test_nothing_alike_is_said_so(value: float) -> None:
    text = verdict.as_text(make_verdict([patch(28, 0, value, value)], value))
    assert "No part of the two faces is alike enough" in text


def test_many_areas_are_summed_up_without_losing_any() -> None:
    rows = [
        {"x": x, "y": y, "w": 28, "h": 28, "contribution_a": 0.01 * k, "contribution_b": 0.01 * k}
        for k, (x, y) in enumerate(layout_positions(28, "no_corners33").tolist())
    ]
    total = sum(row["contribution_a"] for row in rows)
    text = verdict.as_text(make_verdict(rows, total))
    shown = [float(line.split()[0]) for line in text.splitlines() if line.startswith("  +")]
    assert sum(shown) == pytest.approx(total, abs=0.005 * len(shown))  # three decimals each
    assert len(shown) <= verdict.MAX_AREAS_SHOWN + 1


def test_page_escapes_file_names() -> None:
    page = verdict.as_page(make_verdict([patch(28, 0, 0.5, 0.5)], 0.5, name="<img src=x onerror=1>.jpg"))
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def test_headline_orders_protocols_and_scores_and_shows_unresolved_rates_as_a_dash() -> None:
    metrics = {
        "val": {"dam_r": ROW},
        "lfw": {"cosine:n": {**ROW, "tar@0.01": 0.75, "tar@0.1": 0.875}, "raw_pixel": ROW},
    }
    table = headline_table(metrics)
    assert table.columns[5:7] == ("TAR@FAR 0.1", "TAR@FAR 0.01")
    assert [row[:2] for row in table.rows] == [("lfw", "raw_pixel"), ("lfw", "cosine:n"), ("val", "dam_r")]
    assert table.rows[0] == ("lfw", "raw_pixel", "50.00 ± 25.00 %", "0.5000", "12.50 %", "–", "–", "3 + 4")
    assert table.rows[1][5:7] == ("87.50 %", "75.00 %")
    assert table.groups == (True, False, True)
    assert len({len(line) for line in as_text(table).splitlines()}) == 1  # aligned


def test_headline_without_a_figure_names_it() -> None:
    with pytest.raises(DataError, match="lfw / dam_r without 'auc'"):
        headline_table({"lfw": {"dam_r": {key: value for key, value in ROW.items() if key != "auc"}}})


def test_headline_shows_the_widest_combination_only() -> None:
    scores = ["regions_28", "dam_r", "regions_56", "regions_28_56", "cosine:n"]
    shown = [row[1] for row in headline_table({"lfw": dict.fromkeys(scores, ROW)}).rows]
    assert shown == ["cosine:n", "regions_28_56", "dam_r"]
    assert [row[1] for row in headline_table({"lfw": {"regions_28": ROW}}).rows] == ["regions_28"]


def test_reranking_table_puts_all_last() -> None:
    stage = {"p_at_1": 0.5, "rp": 0.25, "map_at_r": 0.125}
    row = {"cosine": stage, "emd_reranked": {**stage, "p_at_1": 0.75}, "num_queries": 4, "num_left_out": 1}
    table = reranking_table({"all": row, "crop": row})
    assert [cells[0] for cells in table.rows] == ["crop", "all"]
    assert table.rows[0] == ("crop", "50.00 → 75.00 %", "25.00 → 25.00 %", "12.50 → 12.50 %", "4", "1")
    with pytest.raises(DataError, match="crop"):
        reranking_table({"crop": {}})


def strip(key: str, kind: str, before: bool, after: bool) -> strips.Strip:
    return strips.Strip(key, kind, ((f"{key}-g", before),), ((f"{key}-h", after),))


def test_strips_show_both_outcomes_one_of_each_kind_first() -> None:
    found = [strip("1", "crop", False, True), strip("2", "crop", False, True), strip("3", "mask", False, True),
             strip("4", "mask", True, False), strip("5", "mask", True, True)]  # fmt: skip
    assert [item.query_key for item in strips.choose_strips(found, 2, 1)] == ["1", "3", "4"]
    assert [item.query_key for item in strips.choose_strips(found, 9, 9)] == ["1", "3", "2", "4"]
    assert strips.count_changes(found) == strips.Changes(num_mended=3, num_spoilt=1, num_unchanged=1)
    assert strips.choose_strips([], 2, 1) == []


def test_strips_are_read_in_the_order_of_each_stage() -> None:
    rows = [
        {
            "query_key": "q",
            "kind": "crop",
            "gallery_key": f"g{k}",
            "genuine": k == 2,
            "rank_cosine": k + 1,
            "rank_reranked": 3 - k,
        }
        for k in range(3)
    ]
    (found,) = strips.read_strips(rows)
    assert [key for key, _ in found.before] == ["g0", "g1", "g2"]
    assert found.after == (("g2", True), ("g1", False), ("g0", False))


def test_strip_is_drawn_with_framed_faces() -> None:
    face = np.full((112, 112, 3), 7, np.uint8)
    picture = strips.draw_strip(strip("1", "crop", False, True), lambda key: face, lambda key: face)
    side = 112 + 2 * strips.FRAME_PX + strips.GAP_PX
    assert picture.shape == (2 * side, side + 2 * strips.GAP_PX + side, 3)
    frames = {tuple(pixel) for pixel in picture.reshape(-1, 3)}
    assert {strips.RIGHT, strips.WRONG, strips.NEUTRAL, (7, 7, 7)} <= frames
