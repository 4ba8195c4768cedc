"""Patches in words, and verdicts."""

import pytest

from pipeline_lib.data.patches.grid import layout_positions
from pipeline_lib.delivery.report import verdict
from pipeline_lib.delivery.report.areas import describe_patch
from pipeline_lib.delivery.report.verdict import AreaShare, Verdict, area_shares


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
