"""The page: what it holds, that it loads nothing, and how it looks in a browser."""

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rendered import Detected, opened, search

from pipeline_lib.delivery.identify.answer import Identification
from pipeline_lib.delivery.identify.model import Opened
from pipeline_lib.delivery.identify.page import as_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def found(gallery: Path, tmp_path: Path, model: Opened, detected: Detected) -> Identification:
    (gallery / "Bob" / "empty.jpg").touch()
    (gallery / "Bob").rename(gallery / "<b>Bob&")
    return search(model, tmp_path / "ann.png", gallery, pictures=True)


def test_every_candidate_has_its_face_its_flow_and_its_bar(found: Identification) -> None:
    text = as_page(found)
    sources = re.findall(r'<img src="([^"]+)"[^>]* alt="([^"]*)"', text)
    assert [source.partition(",")[0] for source, _ in sources] == ["data:image/png;base64"] * (1 + 3 * 3)
    assert len({source for source, _ in sources}) == 1 + 3 + 3
    assert len(re.findall(r'class="bar( below)?" style="width: [\d.]+%"', text)) == 3
    for one in found.candidates:
        assert f"similarity {one.similarity:.3f}, threshold {found.limit.threshold:.3f}" in text
    assert "<b>Bob" not in text
    assert "&lt;b&gt;Bob&amp;/1.png" in text
    assert "empty.jpg" in text


def test_a_browser_may_run_nothing_and_load_nothing(found: Identification) -> None:
    text = as_page(found)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert not re.search(r"https?:|url\(|@import|<link|<script", text)


def test_nobody_is_said_first(found: Identification) -> None:
    nobody = dataclasses.replace(found, candidates=[dataclasses.replace(one, above=False) for one in found.candidates])
    text = as_page(nobody)
    assert "<h1>Nobody in the gallery" in text
    assert text.count("not above the threshold") == 3
    assert 'class="bar"' not in text


def test_a_score_of_regions_has_no_flow(gallery: Path, tmp_path: Path, detected: Detected) -> None:
    text = as_page(search(opened(tmp_path / "files", "regions:56"), tmp_path / "ann.png", gallery, pictures=True))
    assert len(re.findall("<img ", text)) == 1 + 2 * 3
    assert "flow" not in re.sub(r"(?s)<style>.*</style>", "", text).lower()


MEASURE = """
const out = document.createElement("output");
document.querySelector("summary").focus();
out.textContent = [document.documentElement.scrollWidth <= innerWidth, document.activeElement.tagName,
  [...document.images].every((image) => image.naturalWidth === 112)].join(" ");
document.body.append(out);
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_in_a_browser_of_400_px(found: Identification, tmp_path: Path) -> None:
    """Without the policy, which would not let the measuring script in."""
    text = re.sub(r"<meta http-equiv[^>]+>", "", as_page(found))
    (tmp_path / "page.html").write_text(text.replace("</body>", f"<script>{MEASURE}</script></body>"), encoding="utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}/profile",
        "--window-size=400,900",
    ]
    command = [str(CHROMIUM), *options, "--dump-dom", (tmp_path / "page.html").as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert re.findall(r"<output>(.*)</output>", dom) == ["true SUMMARY true"]
