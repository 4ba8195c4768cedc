"""A form on paper: five pairs a sheet of A4, with and without a second line of boxes."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.why.study.page import PAIRS_A_PAGE, Part, Row, as_page

NUM_PAIRS = 7
PNG = encode_png(np.full((112, 112, 3), 90, np.uint8))


def form(asks_confidence: bool) -> str:
    """Two parts of seven pairs, one with maps."""
    parts = [
        Part(
            explains=explains,
            examples=PAIRS_A_PAGE * [Row(num * [PNG], answer=True)],
            questions=[Row(num * [PNG], pair=first + pair) for pair in range(NUM_PAIRS)],
        )
        for explains, num, first in ((False, 2, 1), (True, 4, NUM_PAIRS + 1))
    ]
    return as_page("s<b>-1", parts, asks_confidence)


def test_sheets_are_numbered_by_their_pairs() -> None:
    html = form(False)
    titles = re.findall(r"<header><span>([^<]+)</span><span>Form s&lt;b&gt;-1</span></header>", html)
    parts = [f"Part {part} · {what}" for part in (1, 2) for what in ("examples", "pairs {} to {}", "pairs {} to {}")]
    numbers = [(), (1, 5), (6, 7), (), (8, 12), (13, 14)]
    expected = [title.format(*shown) for title, shown in zip(parts, numbers, strict=True)]
    assert titles == ["Are these two faces of the same person?", *expected]
    assert html.count('class="legend"') == 3  # of the part with maps
    assert html.count('<span class="box">') == 2 * 2 * NUM_PAIRS
    assert form(True).count('<span class="box">') == (2 + 5) * 2 * NUM_PAIRS
    assert "Part 1 · pair 6" in as_page("s", [Part(False, [], [Row([PNG], pair=pair) for pair in range(1, 7)])], False)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
@pytest.mark.parametrize("asks_confidence", [False, True])
def test_each_sheet_is_one_page_of_a4(asks_confidence: bool, tmp_path: Path) -> None:
    page, printed = tmp_path / "form.html", tmp_path / "form.pdf"
    page.write_text(form(asks_confidence), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", f"--print-to-pdf={printed}"]
    subprocess.run(["chromium", *options, str(page)], check=True, capture_output=True, timeout=120)
    data = printed.read_bytes()
    assert len(re.findall(rb"/Type\s*/Page\b", data)) == 1 + 2 * (1 + 2)
    sizes = re.findall(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", data)
    assert {(round(float(width)), round(float(height))) for width, height in sizes} == {(595, 842)}
