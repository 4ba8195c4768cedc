"""The page: complete, self-contained, without names, and escaped."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import fake_rebuild
import pytest
from fake_rebuild import EXPLAINED, HOSTILE, NETWORKS, POSITIONS, write_rebuild

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.report.inputs import Sections, gallery_images, read_rebuild
from pipeline_lib.delivery.report.page import Provenance, build_page

VOID = {"meta", "img", "br", "hr", "link", "input"}
SECTIONS = Sections(NETWORKS, POSITIONS, POSITIONS, EXPLAINED, reranked="iresnet", registered="rrfnet56")
PROVENANCE = Provenance({"Code": [("git commit", f"abc {HOSTILE}")]}, [], f"key: {HOSTILE}")


class Outline(HTMLParser):
    """Collects ids, links and texts, and checks that every tag that is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.texts: list[str] = []

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
        self.texts.append(data)


def page_of(data: Path, num_example_pairs: int = 3) -> str:
    rebuild = read_rebuild(data, SECTIONS)
    return build_page(
        rebuild, PROVENANCE, gallery_images(data / "occlude"), gallery_images(data / "align"), num_example_pairs
    )


def outline(page: str) -> Outline:
    parsed = Outline()
    parsed.feed(page)
    parsed.close()
    assert parsed.open == []
    return parsed


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rebuild") / "data"
    write_rebuild(folder, protocol=HOSTILE)
    return folder


@pytest.fixture(scope="module")
def page(data: Path) -> str:
    return page_of(data)


def test_page_is_well_formed_and_self_contained(page: str) -> None:
    parsed = outline(page)
    assert all(address.startswith(("data:image/", "#")) for address in parsed.addresses)
    without_pictures = re.sub(r"data:image/[a-z+]+;base64,[A-Za-z0-9+/=]+", "", page)
    assert not re.search(r"https?://|//[a-z]|@import|url\(", without_pictures)
    assert not parsed.tags & {"script", "link", "iframe", "object"}
    assert {address[1:] for address in parsed.addresses if address.startswith("#")} <= set(parsed.ids)


def test_page_escapes_what_came_from_outside_and_names_nobody(page: str) -> None:
    assert HOSTILE not in page
    texts = " ".join(outline(page).texts)
    assert f"protocol {HOSTILE}" in " ".join(texts.split())  # a protocol's name is shown, as text
    for number in range(fake_rebuild.NUM_IDENTITIES):
        assert f"{HOSTILE} {number}" not in texts  # an identity's is not


def test_page_shows_the_figures_of_all_stages(page: str) -> None:
    text = " ".join(" ".join(outline(page).texts).split())
    for expected in (
        "95.40 ± 2.00 %",  # the trained network in the headline table
        "raw_pixel",
        "70.0 % accuracy of raw pixels there",
        "81.25 ± 1.25 +0.70 ± 0.05",  # a region's accuracy on val and its weight
        "eye, nose and cheek",
        "combined: regions_56",
        "50.0 → 62.5 %",
        "no_face",
        "0.6000 ± 0.0000",  # insertion area of the own map
        "random map",
        "12,345",
        "git commit",
        "models:/face-verifier/1",
    ):
        assert expected in text, expected
    # one picture each: histograms, 2 ROCs, weights, 1 faithfulness, 3 pairs, 2 losses; strips come on top
    assert page.count("<img") >= 10


def test_number_of_example_pairs_is_kept_and_both_kinds_come_first(data: Path) -> None:
    page = page_of(data, num_example_pairs=2)
    assert page.count('alt="genuine pair') == 1
    assert page.count('alt="impostor pair') == 1
    assert page_of(data, num_example_pairs=0).count("pair explained by") == 0


@pytest.mark.parametrize(
    "missing",
    [
        "ingest/manifest.parquet", "align/rejects.parquet", "train/iresnet/history.csv", "train_region/p56_x0_y28/metrics.json",
        "verify/metrics.json", "verify/scores.parquet", "verify/roc.csv", "verify/calibration.json",
        "verify/regions.csv", "region_weights/weights.json", "region_weights/weight_map.png",
        "rerank/ranks.parquet", "explain/rrfnet56/curves.csv", "explain/rrfnet56/pictures",
        "register/registered.json",
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
        read_rebuild(copy, SECTIONS)


def test_network_without_training_is_shown_as_imported(data: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(data, tmp_path / "data")
    (copy / "train/iresnet/history.csv").write_text("step,epoch,loss,learning_rate,images_per_s\n")
    (copy / "train/iresnet/metrics.json").write_text('{"num_parameters": 7, "num_steps": 0, "trained": false}')
    assert "published weights, not trained here" in page_of(copy)


def test_score_that_the_registered_network_lacks_is_an_error(data: Path) -> None:
    sections = Sections(NETWORKS, POSITIONS, POSITIONS, EXPLAINED, reranked="iresnet", registered="other")
    read = gallery_images(data / "align")
    with pytest.raises(DataError, match="cosine:other"):
        build_page(read_rebuild(data, sections), PROVENANCE, read, read, 1)
