"""The page: complete, self-contained, without names, and escaped."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import fake_rebuild
import pytest
from fake_rebuild import HOSTILE, IMPORTED, make_about, write_rebuild

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.report.html import script_digest
from pipeline_lib.delivery.report.page import SCRIPT, build_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
VOID = {"meta", "img", "br", "hr", "link", "input"}
NO_PARTS: dict[str, object] = {
    "networks": {}, "regions": {}, "galleries": {}, "rerank": {}, "explanations": {}, "scores": {},
}  # fmt: skip


class Outline(HTMLParser):
    """Collects ids, links and texts, and checks that every tag that is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        values = dict(attrs)
        self.addresses += [value for key, value in attrs if key in ("src", "href") and value]
        self.ids += [values["id"]] if values.get("id") else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.scripts if self.open and self.open[-1] == "script" else self.texts).append(data)


def outline(page: str) -> Outline:
    parsed = Outline()
    parsed.feed(page)
    parsed.close()
    assert parsed.open == []
    return parsed


def text_of(page: str) -> str:
    return " ".join(" ".join(outline(page).texts).split())


def chapters(page: str) -> list[str]:
    """The anchors of the navigation, which must be those of the chapters."""
    parsed = outline(page)
    navigation = page[page.index("<nav>") : page.index("</nav>") + len("</nav>")]
    linked = [address[1:] for address in outline(navigation).addresses]
    assert linked == parsed.ids
    return linked


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rebuild") / "data"
    write_rebuild(folder, protocol=HOSTILE)
    return folder


@pytest.fixture(scope="module")
def page(data: Path) -> str:
    return build_report(data, make_about()).page


def test_page_is_well_formed_and_self_contained(page: str) -> None:
    parsed = outline(page)
    assert all(address.startswith(("data:image/", "#")) for address in parsed.addresses)
    assert parsed.scripts == [SCRIPT.read_text()]  # its own, which the policy in its head names by its digest
    assert f"script-src 'sha256-{script_digest(parsed.scripts[0])}'" in page
    without_pictures = re.sub(r"data:image/[a-z+]+;base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.search(r"https?://|//[a-z]|@import|url\(", without_pictures)
    assert not parsed.tags & {"link", "iframe", "object"}


def test_page_has_its_chapters_in_order(page: str) -> None:
    expected = [
        "verification",
        "networks",
        "regions",
        "why",
        "patch_benchmark",
        "reranking",
        "data_card",
        "rejects",
        "training",
        "provenance",
    ]
    assert chapters(page) == expected


def test_page_escapes_what_came_from_outside_and_names_nobody(page: str) -> None:
    assert HOSTILE not in page
    texts = text_of(page)
    assert f"Protocol {HOSTILE}" in texts  # a protocol's name is shown, as text
    for number in range(fake_rebuild.NUM_IDENTITIES):
        assert f"{HOSTILE} {number}" not in texts  # an identity's is not


def test_page_shows_the_figures_of_all_stages(page: str) -> None:
    text = text_of(page)
    for expected in (
        "95.40 ± 2.00 %",  # the trained network in the headline table
        "0.951 to 0.999",  # and the interval of its AUC
        "12.5 %",  # a calibration error
        "raw_pixel",
        f"95.4 % Accuracy on {HOSTILE}; raw pixels 70.0 %",
        "By the cosine of rrfnet56: the registered model's.",
        "The registered score: cosine of rrfnet56",
        "cosine of rrfnet56 cosine:rrfnet56 95.40",
        "81.25 ± 1.25 +0.70 ± 0.05",  # a region's accuracy on val and its weight
        "eye, nose and cheek",
        "combined: regions:56",
        "logistic training people any sign 0.8750 80.00 % 1 0.7500, 81.25 %",
        "logistic validation people none below 0 0.8750 80.00 % 1 – –",
        "apc: iresnet, emd, the first 8",
        "apc emd: apc weights, alpha 0.7, native grid, the first 8",
        "4,000 4",  # 8 pairs in 4 ms on each of 2 threads
        "Stage 1 searched by ivf and found 97.5 % of the exact candidates.",
        "no_face",
        "rrfnet56_additive 0.600 [0.600, 0.600] 0.200 [0.200, 0.200]",  # insertion and deletion areas
        "75.0 [75.0, 75.0] 3",  # partners at the same place
        "rrfnet56_random 0.500 [0.500, 0.500]",
        "rrfnet56_additive against rrfnet56_random +0.100 [+0.100, +0.100] better +0.200 [+0.200, +0.200] better",
        "100.0 [100.0, 100.0] −100.0 [−100.0, −100.0] 66.7 [0.0, 100.0] 0.0 [0.0, 0.0]",  # FPR, FNR and their changes
        "rrfnet56_additive additive 1.0 21.0 4 0 +0.25",
        "+1.00: unchanged",
        "12,345",
        "git commit",
        "models:/face-verifier/1",
    ):
        assert expected in text, expected
    # one picture each: histograms, 2 ROCs, weights, 1 faithfulness, 3 pairs, 2 losses; strips come on top
    assert page.count("<img") >= 10


def test_number_of_example_pairs_is_kept_and_both_kinds_come_first(data: Path) -> None:
    page = build_report(data, make_about(num_example_pairs=2)).page
    assert (
        page.count(", of one person: cosine 0.500, threshold 0.400, explained by") == 1
    )  # the random map, noise, has none
    assert page.count(", of two people: cosine 0.500, threshold 0.400, explained by") == 1
    assert 'class="verdict miss">a false match<' in page
    assert build_report(data, make_about(num_example_pairs=0)).page.count("explained by") == 0


def test_every_picture_states_its_size(page: str) -> None:
    pictures = re.findall(r"<img [^>]*>", page)
    assert pictures
    assert all(re.search(r' width="[1-9][0-9]*" height="[1-9][0-9]*"', picture) for picture in pictures)


DRIVER = """
const table = document.querySelector("table"), area = [...table.tHead.rows[0].cells].findIndex((c) => c.textContent === "AUC");
const column = () => [...table.tBodies[0].rows].map((row) => row.cells[area].firstChild.textContent);
const head = table.tHead.rows[0].cells[area], said = [column()];
for (let turn = 0; turn < 3; turn++) { head.querySelector("button").click(); said.push([head.ariaSort, column()]); }
const saved = document.querySelector("a.save");
saved.addEventListener("click", (event) => event.preventDefault());
saved.click();
const out = document.createElement("output");
out.textContent = JSON.stringify({ said, name: saved.download, start: saved.href.slice(0, 26),
  wide: document.documentElement.scrollWidth, room: innerWidth });
document.body.append(out);
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_tables_are_sorted_and_charts_saved_in_a_browser(page: str, tmp_path: Path) -> None:
    """At 420 px, without the policy, which would not let a driver in."""
    text = re.sub(r'<meta http-equiv="Content[^>]+>', "", page).replace("</body>", f"<script>{DRIVER}</script></body>")
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    command = [str(CHROMIUM), *options, "--window-size=420,900", "--dump-dom", (tmp_path / "page.html").as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    (found,) = re.findall(r"<output>(.*)</output>", dom)
    result = json.loads(found)
    first, down, up, again = result["said"]
    assert down == ["descending", sorted(first, reverse=True)]
    assert up == ["ascending", sorted(first)]
    assert again == [None, first]
    assert re.fullmatch(r"[a-z0-9-]+\.svg", result["name"])
    assert result["start"] == "data:image/svg+xml;base64,"
    assert result["wide"] <= result["room"]  # nothing but the tables scrolls sideways


@pytest.mark.parametrize(
    "missing",
    [
        "ingest/manifest.parquet", "align/rejects.parquet", "train/iresnet/history.csv", "train_region/p56/metrics.json",
        "networks/iresnet/network.json", "verify/metrics.json", "verify/scores.parquet", "verify/roc.csv",
        "verify/calibration.json", "verify/reliability.csv", "verify/regions.csv", "region_weights/logistic/weights.json",
        "region_weights/logistic/metrics.json",
        "region_weights/logistic/weight_map.png", "rerank/apc/ranks.parquet", "rerank/apc/metrics.json",
        "rerank/apc/seconds.parquet",
        "explain/rrfnet56_additive/curves.csv", "explain/rrfnet56_additive/latency.parquet",
        "explain/rrfnet56_random/maps.arrow", "explain/rrfnet56_additive/pictures",
    ],
)  # fmt: skip
def test_missing_piece_is_named(data: Path, tmp_path: Path, missing: str) -> None:
    copy = shutil.copytree(data, tmp_path / "data")
    path = copy / missing
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    with pytest.raises(DataError, match=re.escape(str(path))):
        build_report(copy, make_about())


def test_network_without_training_is_shown_as_imported(tmp_path: Path) -> None:
    fake_rebuild.write_network(tmp_path, "published", IMPORTED)
    text = text_of(build_report(tmp_path, make_about(**{**NO_PARTS, "networks": {"published": IMPORTED}})).page)
    assert "published 12,345 0 – – – – With 0 steps: published weights, not trained here." in text


def test_a_registered_score_that_was_not_verified_is_an_error(data: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(data, tmp_path / "data")
    fake_rebuild.write_registered(copy, "cosine:other")
    with pytest.raises(DataError, match="cosine:other"):
        build_report(copy, make_about())


def test_only_an_imported_checkpoint_and_cosine(tmp_path: Path) -> None:
    images = fake_rebuild.write_photographs(tmp_path)
    fake_rebuild.write_network(tmp_path, "published", IMPORTED)
    fake_rebuild.write_verification(tmp_path, images, scores=["cosine:published"])
    fake_rebuild.write_registered(tmp_path, None)
    for group in ("explain", "rerank", "claims", "train_region", "region_weights"):
        (tmp_path / group).mkdir()
        (tmp_path / group / ".gitkeep").touch()
    page = build_report(tmp_path, make_about(**{**NO_PARTS, "networks": {"published": IMPORTED}})).page
    assert chapters(page) == ["left_out", "verification", "networks", "data_card", "rejects", "training", "provenance"]
    text = text_of(page)
    assert "Training, region networks, re-ranking, explanations. params.yaml trains nothing" in text
    assert "Here are 4, with 12 photographs; the networks have published weights (published)." in text
    assert f"Nothing is registered: there was no champion {HOSTILE}." in text
    assert "The best score on the validation pairs: cosine:published" in text
    assert "raw pixels 7" not in text


def test_a_model_with_the_package_s_calibration_says_so_and_is_drawn_with_it(tmp_path: Path) -> None:
    images = fake_rebuild.write_photographs(tmp_path)
    fake_rebuild.write_network(tmp_path, "published", IMPORTED)
    fake_rebuild.write_verification(tmp_path, images, scores=["cosine:published"])
    fake_rebuild.write_registered(tmp_path, "cosine:published", note=f"too few {HOSTILE}", threshold=0.875)
    text = text_of(build_report(tmp_path, make_about(**{**NO_PARTS, "networks": {"published": IMPORTED}})).page)
    assert f"too few {HOSTILE}" in text
    assert "cosine:published decides at 0.875, the threshold that was fitted on 7030 pairs: LFW, CFP." in text


def test_only_regions(tmp_path: Path) -> None:
    images = fake_rebuild.write_photographs(tmp_path)
    fake_rebuild.write_verification(tmp_path, images, scores=["regions:56"])
    fake_rebuild.write_regions(tmp_path)
    fake_rebuild.write_training(tmp_path / "train_region" / "p56")
    sections = {**NO_PARTS, "regions": make_about().params.regions.model_dump()}
    page = build_report(tmp_path, make_about(**sections)).page
    assert chapters(page) == ["verification", "regions", "data_card", "rejects", "training", "provenance"]
    shutil.rmtree(tmp_path / "region_weights")  # each region alone
    text = text_of(build_report(tmp_path, make_about(**sections)).page)
    assert "eye, nose and cheek 81.25 ± 1.25 81.25 ± 1.25 56" in text
    assert "weighted by" not in text
    assert "weight, " not in text


def test_no_scores_at_all(tmp_path: Path) -> None:
    images = fake_rebuild.write_photographs(tmp_path)
    fake_rebuild.write_verification(tmp_path, images, scores=[])
    text = text_of(build_report(tmp_path, make_about(**NO_PARTS)).page)
    assert "No whole face was scored" in text


def test_scores_without_validation_pairs_have_no_threshold(tmp_path: Path) -> None:
    images = fake_rebuild.write_photographs(tmp_path)
    fake_rebuild.write_verification(tmp_path, images)
    (tmp_path / "verify" / "calibration.json").write_text("{}")
    text = text_of(build_report(tmp_path, make_about(**NO_PARTS)).page)
    assert "There were no validation pairs to find a threshold on." in text


def test_nothing_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to report"):
        build_report(tmp_path, make_about())


def test_what_earlier_rebuilds_left_is_not_shown(data: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(data, tmp_path / "data")
    fake_rebuild.write_network(copy, "earlier_one", IMPORTED)
    fake_rebuild.write_explanation(copy / "explain" / "earlier_one", "earlier_one")
    shutil.copytree(copy / "rerank" / "apc", copy / "rerank" / "earlier_one")
    assert "earlier_one" not in build_report(copy, make_about()).page
