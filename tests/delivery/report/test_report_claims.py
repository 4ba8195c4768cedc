"""The chapter of claims: every row, its bar, and what is missing, as a reader finds them."""

import re

import pytest

from pipeline_lib.core.files import write_json
from pipeline_lib.delivery.report.chapters import claims as chapter
from pipeline_lib.delivery.report.html import render

HOSTILE = "<script>alert('x')</script>"


def row(verdict, effect, low, high, margin=0.0):
    sides = {side: {"name": HOSTILE, "figure": 0.9} for side in ("a", "b")}
    counts = {"counted": "pairs", "num_pairs": 6000, "num_identities": 4281, "num_redrawn": 0}
    return {
        "verdict": verdict,
        "measure": "AUC",
        "unit": "share",
        "effect": effect,
        "low": low,
        "high": high,
        "margin": margin,
        **sides,
        **counts,
    }


CLAIMS = {
    "R1": {
        "paper": "RRFNet", "text": "Patches are better.", "note": "A note.",
        "protocols": {
            "lfw": row("holds", 0.01, 0.004, 0.016, 0.02),
            "val": row("contradicted", -0.03, -0.04, -0.025, 0.02),
            "other": {"verdict": "not measured", "missing": "there is no network"},
        },
    },
    "R4": {
        "paper": "RRFNet", "text": "Both.", "note": "",
        "protocols": {"lfw": {"verdict": "not measured", "missing": "no regions"}},
    },
}  # fmt: skip


@pytest.fixture
def page(tmp_path):
    write_json(tmp_path / "claims" / "claims.json", CLAIMS)
    found = chapter.read(tmp_path)
    return render("chapters/claims.html.j2", chapter.show(found, None))


def test_every_row_and_what_is_missing(page):
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))
    assert "Verdicts: holds 1, contradicted 1, undecided 0, not measured 2." in words
    assert "+1.00 points of AUC (95 %: +0.40 to +1.60)" in words
    assert "6,000 pairs of 4,281 people" in words
    assert "not measured on other: there is no network." in words
    assert "not measured: no regions." in words
    assert "Within a margin of 2 points. A note." in words


def test_bars_lie_where_their_figures_are(page):
    # The axis goes from -5 to 5 points: 0.4 to 1.6 are 54 to 66 % of it, the margin's line is at 30 %.
    first = page[page.index("<svg") : page.index("</svg>")]
    assert '<rect x="54.00" width="12.00"' in first
    assert '<line class="value" x1="60.00"' in first
    assert '<line class="margin" x1="30.00"' in first
    assert 'aria-label="holds: +1.00 points' in first
    assert page.count("<svg") == 2
    assert page.count("−5 points, B better") == 1


def test_texts_are_escaped(page):
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page


def test_an_empty_ledger_has_no_chapter(tmp_path):
    write_json(tmp_path / "claims" / "claims.json", {})
    assert chapter.read(tmp_path) is None


@pytest.mark.parametrize(
    ("values", "end"),
    [
        ([0.004, -0.016, 0.02], 0.02),
        ([-0.021], 0.05),
        ([0.5], 0.5),
        ([0.051], 0.1),
        ([0.0], 0.01),
        ([], 0.01),
        ([0.001], 0.001),
    ],
)
def test_axes_end_at_round_figures(values, end):
    assert chapter.axis_end(values) == pytest.approx(end, rel=1e-12)
