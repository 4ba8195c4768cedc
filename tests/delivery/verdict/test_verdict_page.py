"""The page: its structure without a script, its sums, what it lets a browser do, and the script where there is a Chromium."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.data.patches.grid import layout_positions
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.delivery.verdict.page import as_page
from pipeline_lib.delivery.verdict.words import Verdict
from pipeline_lib.why.explanation.shared.patch_terms import pixel_map

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
RNG = np.random.default_rng(0)
FACE = encode_png(RNG.integers(0, 256, size=(112, 112, 3)).astype(np.uint8))
BOXES = np.concatenate([layout_positions(28, "no_corners33"), np.full((33, 2), 28)], axis=1)
TERMS = RNG.normal(size=(33, 33)) / 1089
TERMS += (0.6 - TERMS.sum()) / TERMS.size
UNIT = 1e-5


def explained(similarity: float = 0.6, additive: bool = True, **more: object) -> Verdict:
    in_a, in_b = TERMS.sum(axis=1), TERMS.sum(axis=0)
    rows = [
        {**dict(zip("xywh", box, strict=True)), "contribution_a": a, "contribution_b": b}
        for box, a, b in zip(BOXES.tolist(), in_a.tolist(), in_b.tolist(), strict=True)
    ]
    maps = np.stack([pixel_map(values, BOXES) for values in (in_a, in_b)]).astype(np.float32)
    split = {"contributions": rows, "terms": TERMS.tolist()} if additive else {}
    figures = {"similarity": similarity, "threshold": 0.3, "match": True, "probability": 0.75}
    model = {"model": "models:/m@champion", "score": "cosine:n", "is_cosine": True, "explanation": "Says why."}
    return Verdict("a.jpg", "b.jpg", **model, **figures, maps=maps, faces=(FACE, FACE), png=b"png", **split, **more)


class Page(HTMLParser):
    """Tables as lists of rows of texts, images, and the content of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.images: list[dict[str, str | None]] = []
        self.scripts: list[str] = []
        self.into: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.into = self.tables[-1][-1]
        elif tag == "img":
            self.images.append(dict(attributes))
        elif tag == "script":
            self.scripts.append("")
            self.into = self.scripts

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "script"):
            self.into = None

    def handle_data(self, data: str) -> None:
        if self.into is not None:
            self.into[-1] += data


def test_without_a_script_each_table_adds_up_to_the_printed_score() -> None:
    page = Page(as_page(explained()))
    of_a, of_b, patches = page.tables
    for table in (of_a, of_b):
        rows, last = table[1:-1], table[-1]
        assert last[:2] == ["together", "+0.60000"]
        assert sum(round(float(row[1]) / UNIT) for row in rows) == 60000
        assert [float(row[1]) for row in rows] == sorted((float(row[1]) for row in rows), reverse=True)
    assert len(patches) == 35
    for column, exact in ((2, TERMS.sum(axis=1)), (3, TERMS.sum(axis=0))):
        values = np.array([float(row[column]) for row in patches[1:-1]])
        assert round(values.sum() / UNIT) == 60000
        np.testing.assert_allclose(values, exact, atol=33 * UNIT)  # less than a unit of each of 33 products
    assert patches[-1] == ["", "together", "+0.60000", "+0.60000"]


def test_the_script_s_numbers_are_the_tables() -> None:
    page = Page(as_page(explained()))
    data = json.loads(page.scripts[0])
    terms = np.array(data["terms"])
    assert (terms.shape, data["decimals"], terms.sum()) == ((33, 33), 5, 60000)
    assert np.abs(terms * UNIT - TERMS).max() < UNIT
    assert data["boxes"] == BOXES.tolist()
    assert data["threshold"] == 30000
    for axis in (0, 1):
        sums = terms.sum(axis=axis)
        assert data["low"] <= sums[sums < 0].sum()  # whatever is chosen stays on the scale
        assert data["high"] >= sums[sums > 0].sum()
    printed = [[round(float(row[column]) / UNIT) for row in page.tables[2][1:-1]] for column in (2, 3)]
    assert printed == [terms.sum(axis=1).tolist(), terms.sum(axis=0).tolist()]


def test_both_faces_and_both_maps_have_texts() -> None:
    images = Page(as_page(explained())).images
    assert [str(image["src"]).partition(",")[0] for image in images] == ["data:image/png;base64"] * 4
    texts = [str(image["alt"]) for image in images]
    assert texts[0] == "Photograph A: the aligned face"
    assert texts[3].startswith("Map of photograph B: strongest for a match: ")
    assert "strongest against: " in texts[3]


def test_a_browser_may_run_the_page_s_own_script_and_load_nothing() -> None:
    text = as_page(explained())
    script = Page(text).scripts[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy == (f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'")
    assert not re.search(r"https?:|url\(|@import|<link|fetch\(|XMLHttp", text)


def test_maps_that_add_up_to_nothing_come_without_tables_and_without_a_script() -> None:
    page = Page(as_page(explained(additive=False, reliability="Take the places with care.")))
    assert (page.tables, page.scripts, len(page.images)) == ([], [], 4)
    assert "Take the places with care." in as_page(explained(additive=False, reliability="Take the places with care."))


def test_a_score_that_is_not_the_sum_has_no_threshold_among_the_sums() -> None:
    text = as_page(explained(similarity=2.5))
    assert json.loads(Page(text).scripts[0])["threshold"] is None
    assert "adds up to the cosine, +0.60000" in text
    assert "dashed line" not in text


def test_both_whole_photographs_with_the_box_and_what_the_answer_rests_on() -> None:
    photographs = [
        {"sha256": "a" * 64, "width": 200, "height": 100, "box": [20, 10, 120, 60], "distance": 0.5},
        {"sha256": None, "width": 50, "height": 80, "box": [0, 0, 50, 80], "distance": 1.5},
    ]
    about = {"name": "m", "version": "3", "made": "2026-01-31", "commit": "c" * 40}
    about |= {"networks": "n (iresnet)", "trained_on": "<faces>", "calibrated_on": "pairs"}
    more = {"photographs": photographs, "shown": (FACE, FACE), "about": about, "warnings": ["B is <unlike>."]}
    text = as_page(explained(**more))
    assert 'style="left: 10.00%; top: 10.00%; width: 50.00%; height: 50.00%"' in text
    assert 'style="left: 0.00%; top: 0.00%; width: 100.00%; height: 100.00%"' in text
    assert len(Page(text).images) == 6
    for said in (
        "B is &lt;unlike&gt;.",
        "m version 3",
        "2026-01-31",
        "&lt;faces&gt;",
        "a" * 64,
        "pixels without a file",
    ):
        assert said in text


def test_an_earlier_model_s_answer_is_a_page_with_its_picture() -> None:
    old = {
        key: value for key, value in vars(explained()).items() if key not in ("terms", "maps", "faces", "reliability")
    }
    page = Page(as_page(Verdict(**old)))
    assert (page.tables, page.scripts) == ([], [])
    assert [str(image["src"]) for image in page.images] == [
        "data:image/png;base64," + base64.b64encode(b"png").decode()
    ]


def in_chromium(folder: Path, text: str, width: int = 400) -> str:
    """The page's elements after its script ran."""
    (folder / "page.html").write_text(text, encoding="utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder}/profile",
        f"--window-size={width},900",
    ]
    command = [str(CHROMIUM), *options, "--dump-dom", (folder / "page.html").as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


DRIVER = """
const said = [], say = () => said.push(document.getElementById("sum").textContent);
const all = (side) => [...document.querySelectorAll(`#face-${side} .patch`)];
say();
all("a")[0].click(); say();
all("a")[20].click(); say();
all("a")[0].click(); say();
document.querySelector("[data-all=b]").click(); say();
document.querySelector("[data-all='']").click();
const frame = document.getElementById("face-b").getBoundingClientRect();
const at = { pointerType: "mouse", bubbles: true, clientX: frame.left + frame.width / 2, clientY: frame.top + frame.height / 2 };
document.getElementById("face-b").dispatchEvent(new PointerEvent("pointermove", at)); say();
const partners = [...document.querySelectorAll("#partners .figure")].map((cell) => cell.textContent);
document.getElementById("face-b").dispatchEvent(new PointerEvent("pointerleave", at)); say();
all("a")[0].focus();
for (const key of ["ArrowRight", "ArrowDown"])
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
say();
const row = document.querySelector("tr[data-side=b] button");
row.click(); say();
const out = document.createElement("output");
out.textContent = JSON.stringify({ said, partners, wide: document.documentElement.scrollWidth, room: innerWidth,
  focusable: all("a").filter((patch) => patch.tabIndex === 0).length });
document.body.append(out);
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_chosen_patches_add_up_in_a_browser(tmp_path: Path) -> None:
    """Without the policy, which would not let a driver in; that it lets the page's own script run is the next test's."""
    text = re.sub(r"<meta http-equiv[^>]+>", "", as_page(explained()))
    dom = in_chromium(tmp_path, text.replace("</body>", f"<script>{DRIVER}</script></body>"))
    (found,) = re.findall(r"<output>(.*)</output>", dom)
    result = json.loads(found)
    terms = np.array(json.loads(Page(text).scripts[0])["terms"])
    of_a, of_b = terms.sum(axis=1), terms.sum(axis=0)
    centre = next(i for i, (x, y, w, h) in enumerate(BOXES.tolist()) if (x, y, w, h) == (42, 42, 28, 28))
    part = Page(text).tables[1][1]
    said = result["said"]
    assert said[0] == said[6] == "No patch is chosen."
    assert said[1].startswith("A, patch 1 (")
    assert f"adds {of_a[0] * UNIT:+.5f} of +0.60000" in said[1]
    assert said[2] == f"A, 2 of 33 patches together add {(of_a[0] + of_a[20]) * UNIT:+.5f} of +0.60000."
    assert said[3].startswith("A, patch 21 (")
    assert said[4] == "B, 33 of 33 patches together add +0.60000 of +0.60000: the whole."
    assert said[5].startswith(f"B, patch {centre + 1} (")
    assert f"adds {of_b[centre] * UNIT:+.5f} of" in said[5]
    assert said[7].startswith("A, patch 5 (")  # from the first of the top row of three, right and down
    assert f"{part[1]} of +0.60000." in said[8]
    largest = terms[:, centre][np.argsort(-np.abs(terms[:, centre]), kind="stable")[:5]]
    rest = terms[:, centre].sum() - largest.sum()
    assert [round(float(value) / UNIT) for value in result["partners"]] == [*largest, rest, of_b[centre]]
    assert result["focusable"] == 1
    assert result["wide"] <= result["room"]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_the_policy_lets_the_script_run(tmp_path: Path) -> None:
    text = as_page(explained())
    assert 'id="sum" aria-live="polite"></p>' in text
    assert "No patch is chosen." in in_chromium(tmp_path, text)
