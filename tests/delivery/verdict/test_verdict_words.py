"""A verdict in words and as a page: with an explanation, with one of the cosine behind the score, and without any."""

from dataclasses import replace

import pytest

from pipeline_lib.data.patches.grid import layout_positions
from pipeline_lib.delivery.verdict import words
from pipeline_lib.delivery.verdict.page import as_page
from pipeline_lib.delivery.verdict.words import AreaShare, Verdict, area_shares


def patch(x: int, y: int, a: float, b: float) -> dict[str, float]:
    return {"x": x, "y": y, "w": 56, "h": 56, "contribution_a": a, "contribution_b": b}


def make_verdict(contributions: list[dict[str, float]], similarity: float, name: str = "a.jpg") -> Verdict:
    figures = {"similarity": similarity, "threshold": 0.3, "match": similarity > 0.3, "probability": 0.75}
    model = {"model": "models:/m@champion", "score": "cosine:n", "is_cosine": True}
    return Verdict(name, "b.jpg", **model, **figures, explanation="Says why.", contributions=contributions, png=b"png")


def unexplained(score: str, is_cosine: bool, similarity: float) -> Verdict:
    figures = {"similarity": similarity, "threshold": 0.3, "match": similarity > 0.3, "probability": 0.75}
    return Verdict("a.jpg", "b.jpg", "models:/m/1", score, is_cosine, **figures, explanation="There is no map.")


def test_area_shares_are_of_each_face_and_sum_to_the_similarity_twice() -> None:
    shares = area_shares([patch(28, 0, 0.2, 0.4), patch(28, 56, -0.1, -0.3), patch(28, 0, 0.1, 0.1)])
    assert [share.area for share in shares] == ["forehead and both eyes", "nose, mouth and chin"]
    assert [share.of_a for share in shares] == pytest.approx([0.3, -0.1])
    assert [share.of_b for share in shares] == pytest.approx([0.5, -0.3])
    assert isinstance(shares[0], AreaShare)


def test_text_says_verdict_reasons_and_caveats() -> None:
    text = words.as_text(make_verdict([patch(28, 0, 0.5, 0.5), patch(28, 56, -0.1, -0.1)], 0.4))
    assert text.startswith("Match:")
    assert "At least half of the similarity comes from: forehead and both eyes." in text
    assert "Against a match spoke: nose, mouth and chin." in text
    assert "75.0 %" in text
    assert "Says why." in text
    assert "cosine:n" in text
    assert words.probability_caveat(0.5) in text
    assert words.as_text(make_verdict([patch(28, 0, 0.1, 0.1)], 0.1)).startswith("No match:")


@pytest.mark.parametrize("value", [-0.2, 0.0])
def test_nothing_alike_is_said_so(value: float) -> None:
    text = words.as_text(make_verdict([patch(28, 0, value, value)], value))
    assert "No part of the two faces is alike enough" in text


def test_many_areas_are_summed_up_without_losing_any() -> None:
    rows = [
        {"x": x, "y": y, "w": 28, "h": 28, "contribution_a": 0.01 * k, "contribution_b": 0.01 * k}
        for k, (x, y) in enumerate(layout_positions(28, "no_corners33").tolist())
    ]
    total = sum(row["contribution_a"] for row in rows)
    text = words.as_text(make_verdict(rows, total))
    shown = [[float(value) for value in line.split()[:2]] for line in text.splitlines() if line.startswith("  +")]
    for column in zip(*shown, strict=True):
        assert sum(column) == pytest.approx(total, abs=0.005 * len(shown))  # three decimals each
    assert len(shown) <= words.MAX_AREAS_SHOWN + 1


def test_parts_that_add_up_to_another_number_than_the_score_are_not_called_its_sum() -> None:
    text = words.as_text(make_verdict([patch(28, 0, 0.5, 0.5)], 2.25))
    assert "At least half of the cosine comes from: forehead and both eyes." in text
    assert "each of the two columns adds up to 0.500" in text


def test_what_carries_the_score_is_said_of_each_photograph() -> None:
    """A's half comes from the eyes, B's from the mouth, whose patch speaks against a match in A."""
    said = words.why(make_verdict([patch(28, 0, 0.5, 0.1), patch(28, 56, -0.1, 0.3)], 0.4))
    assert said.startswith(
        "At least half of the similarity comes from, in photograph A: forehead and both eyes; in B: nose, mouth and chin. "
        "Against a match spoke, in photograph A: nose, mouth and chin; in B: nothing."
    )


def test_a_reliability_line_is_printed_where_there_is_one() -> None:
    verdict = make_verdict([patch(28, 0, 0.5, 0.5)], 0.5)
    assert "with care" in words.as_text(replace(verdict, reliability="Take the places with care."))
    assert "with care" in as_page(replace(verdict, reliability="Take the places with care."))


def test_page_escapes_file_names() -> None:
    page = as_page(make_verdict([patch(28, 0, 0.5, 0.5)], 0.5, name="<img src=x onerror=1>.jpg"))
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def test_page_shows_the_picture_the_parts_and_the_scale() -> None:
    page = as_page(replace(make_verdict([patch(28, 0, 0.5, 0.5)], 0.5), terms=[[0.5]]))
    for expected in ("data:image/png;base64,", "forehead and both eyes", "+0.5000", 'class="gauge"', "from -1 to 1"):
        assert expected in page


def test_without_an_explanation_both_say_so_and_show_no_picture() -> None:
    verdict = unexplained("cosine:n", True, 0.5)
    text, page = words.as_text(verdict), as_page(verdict)
    assert "There is no map." in text
    assert "adds" not in text
    assert "There is no map." in page
    assert "<img" not in page
    assert "<table" not in page
    assert 'class="gauge"' in page


def test_a_score_without_a_range_has_no_scale() -> None:
    verdict = unexplained("dam:r", False, -3.5)
    text, page = words.as_text(verdict), as_page(verdict)
    assert "higher is more alike" in text
    assert "-1 to 1" not in text
    assert "-3.500" in page
    assert 'class="gauge"' not in page


@pytest.mark.parametrize(
    ("probability", "shown"),
    [
        (0.0, "< 0.1 %"),
        (0.00099, "< 0.1 %"),
        (0.001, "0.1 %"),
        (0.5, "50.0 %"),
        (0.999, "99.9 %"),
        (0.9999, "> 99.9 %"),
    ],
)
def test_no_probability_is_shown_as_certain(probability: float, shown: str) -> None:
    assert words.chance(probability) == shown
