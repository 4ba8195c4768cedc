"""The data card: counted by hand, on several sources; and its files beside the page."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fake_rebuild import HOSTILE, make_about, write_photographs

from pipeline_lib.core.files import write_json
from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.delivery.report.chapters import data_card as chapter
from pipeline_lib.delivery.report.data_card import CardData, make_card, quantiles, read_card_data
from pipeline_lib.delivery.report.face_figures import brightness, sharpness, yaw_deg
from pipeline_lib.delivery.report.page import build_report
from pipeline_lib.params.ingest import Ingest
from pipeline_lib.schemas.near_duplicates import NEAR_DUPLICATES
from pipeline_lib.schemas.rejects import REJECTS

INGEST = Ingest.model_validate(
    {
        "root": "photos", "val_share": 0.1, "test_share": 0.3, "pairs_per_fold": 2, "num_folds": 2, "max_identities": None,
        "max_folds": None, "max_pixels": 100, "max_reject_share": 0.5, "seed": 1,
        "sources": [
            {"kind": "lfw", "path": "lfw", "split": "test", "licence": "of the benchmark", "about": "a | b"},
            {"kind": "image_folder", "path": "lfw2", "split": "train"},
            {"kind": "verification_bin", "path": "cfp.bin", "split": "test"},
            {"kind": "recordio", "path": "s3://bucket/web", "split": "train"},
        ],
    }
)  # fmt: skip
FIGURES = {
    "threshold": 0.91, "found": {"recompressed": 1.0, "cropped": 0.97, "grey": 0.95}, "num_images": 12, "num_pairs": 3,
    "num_listed": 1, "num_same_pixels": 1,
}  # fmt: skip
# The head of the tests of occlusions: px around the point between the eyes, which lie 4 px back, the nose 14 px in front.
HEAD = np.array([[-17.6, 0, -4], [17.6, 0, -4], [0, 20.1, 14], [-14.6, 40.7, 0], [14.6, 40.7, 0]])


def card_data() -> CardData:
    photos = [
        ("a0", "anna", "test", "photos/lfw/a/0.jpg", 100, 250), ("a1", "anna", "test", "photos/lfw/a/1.jpg", 200, 250),
        ("b0", "bert", "test", "photos/lfw/b/0.jpg", 300, 250), ("c0", "carl", "test", "made/verification_bin-2/x", 112, 112),
        ("d0", "dora", "train", "photos/lfw2/d/0.jpg", 50, 60), ("e0", "emil", "train", "s3://bucket/web/train.rec", 112, 112),
    ]  # fmt: skip
    rejects = [
        {"image_id": "r0", "uri": "photos/lfw/r.jpg", "stage": "ingest", "reason": "truncated", "detail": ""},
        {"image_id": "r1", "uri": "photos/lfw2/r.jpg", "stage": "ingest", "reason": "truncated", "detail": ""},
        {"image_id": "b0", "uri": "photos/lfw/b/0.jpg", "stage": "align", "reason": "no_face", "detail": ""},
    ]
    names = ("image_id", "identity", "split", "uri", "width", "height")
    columns = dict(zip(names, map(list, zip(*photos, strict=True)), strict=True))
    table = pa.table(columns)
    aligned = table.take([0, 1, 3, 4, 5])
    looked_at = pa.table(
        {
            "image_id": aligned["image_id"],
            "brightness": [10.0, 30.0, 100.0, 50.0, 60.0],
            "sharpness": [1.0] * 5,
            "yaw_deg": [0.0, np.nan, 5.0, -8.0, 8.0],
        }
    )
    counts = {"num_overlaps_joined": 4, "num_overlaps_removed": 5, "num_copies": 6, "num_input": 9}
    return CardData(
        table, table_from_rows(rejects, REJECTS), aligned.select(["image_id", "identity", "split"]), looked_at, counts
    )


def test_sets_are_counted_by_split_and_source():
    card = make_card(card_data(), INGEST, Path("made"))
    sets = {(one["split"], one["source"]): one for one in card["sets"]}
    assert list(sets) == [
        ("train", "all sources"), ("train", "image_folder lfw2"), ("train", "recordio s3://bucket/web"),
        ("test", "all sources"), ("test", "lfw lfw"), ("test", "verification_bin cfp.bin"),
    ]  # fmt: skip
    names = ("num_photographs", "num_aligned", "num_identities", "num_looked_at")
    assert [sets["test", "all sources"][name] for name in names] == [4, 3, 2, 3]
    assert [sets["test", "lfw lfw"][name] for name in names] == [3, 2, 1, 2]  # bert's did not come out
    assert sets["test", "all sources"]["images_per_identity_histogram"] == {"1": 1, "2": 1}
    assert sets["test", "lfw lfw"]["images_per_identity"] == {"low": 2.0, "median": 2.0, "high": 2.0}
    assert sets["test", "lfw lfw"]["short_side_px"] == {"low": 110.0, "median": 200.0, "high": 245.0}
    assert sets["test", "lfw lfw"]["brightness"] == {"low": 11.0, "median": 20.0, "high": 29.0}
    assert sets["test", "lfw lfw"]["yaw_deg"]["median"] == 0.0  # a NaN counts for nothing
    assert card["rejects"] == {
        "ingest": {"truncated": {"lfw lfw": 1, "image_folder lfw2": 1}},
        "align": {"no_face": {"lfw lfw": 1}},
    }
    assert card["overlaps"] == {"overlaps_joined": 4, "overlaps_removed": 5, "copies": 6}
    assert card["sources"][0]["licence"] == "of the benchmark"
    assert json.loads(json.dumps(card, allow_nan=False)) == card


def test_quantiles_of_nothing_are_none():
    assert quantiles([]) is quantiles([np.nan]) is None
    assert quantiles([1, 2, 3]) == {"low": 1.1, "median": 2.0, "high": 2.9}


def test_the_card_beside_the_page(tmp_path: Path) -> None:
    data = tmp_path / "data"
    images = write_photographs(data)
    write_json(data / "gallery" / "iresnet" / "near_duplicates.json", FIGURES)
    (a, who_a), (b, who_b) = images[0], images[-1]
    pair = {"image_a": a, "identity_a": who_a, "split_a": "test", "image_b": b, "identity_b": who_b, "split_b": "test"}
    table = table_from_rows([{**pair, "cosine": 0.99, "pixel_correlation": 0.95}], NEAR_DUPLICATES)
    write_table(data / "gallery" / "iresnet" / "near_duplicates.parquet", table, NEAR_DUPLICATES)
    (data / "occlude" / "contact_sheet.png").write_bytes(encode_png(np.zeros((112, 112, 3), np.uint8)))
    report = build_report(data, make_about())
    assert "Data card" in report.page
    assert HOSTILE not in report.page
    assert (
        "3 pairs of two people or of two splits have a cosine of at least 0.910, of which the nearest 1 are listed"
        in report.page
    )
    assert "97% of cropped" in report.page
    assert report.page.count("Some queries, and each kind of occlusion") == 1
    assert set(report.beside) == {"data_card.json", "data_card.md"}
    card = json.loads(report.beside["data_card.json"])
    assert card["near_duplicates"] == {"iresnet": FIGURES}
    assert [one["num_aligned"] for one in card["sets"]] == [len(images)]
    assert "| align | no_face |" in report.beside["data_card.md"]
    assert "2 were removed from the source" in report.beside["data_card.md"]


def test_without_a_search_the_card_says_so(tmp_path: Path) -> None:
    write_photographs(tmp_path)
    found = chapter.read(tmp_path)
    assert found.sheet is None
    text = chapter.beside(found, make_about())["data_card.md"]
    assert "They were not looked for" in text


def test_a_table_s_cell_does_not_end_at_a_bar():
    card = make_card(card_data(), INGEST, Path("made")) | {"near_duplicates": {}}
    text = chapter.as_markdown(card)
    assert "| of the benchmark | a \\| b |" in text
    assert len({line.count("|") - line.count("\\|") for line in text.splitlines()[2:6]}) == 1


def test_a_sample_is_looked_at_and_all_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = write_photographs(tmp_path)
    monkeypatch.setattr("pipeline_lib.delivery.report.data_card.MOST_LOOKED_AT", 5)
    found = read_card_data(tmp_path)
    assert (found.aligned.num_rows, found.looked_at.num_rows) == (len(images), 4)  # 12 images, every third


@pytest.mark.parametrize("yaw", [-40, -20, 0, 15, 35])
def test_the_turn_of_a_mean_head_is_found(yaw):
    """Also when it is tilted and nearer; its sign is that of the nose's side."""
    angle, roll = np.deg2rad(yaw), np.deg2rad(12)
    turned = HEAD @ np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])
    flat = 1.7 * turned[:, :2] @ np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]]) + (56, 51)
    # The tilt turns the nose's drop into an offset only if it is measured along the picture instead of along the eyes.
    assert yaw_deg(flat[None])[0] == pytest.approx(yaw, abs=1.0)


def test_eyes_in_one_place_have_no_turn_and_do_not_crash():
    assert np.isnan(yaw_deg(np.full((1, 5, 2), 50.0))[0])
    assert yaw_deg(np.zeros((0, 5, 2))).shape == (0,)


def test_brightness_and_sharpness_of_known_images():
    plain = np.full((112, 112, 3), 77, np.uint8)
    assert (brightness(plain), sharpness(plain)) == (77.0, 0.0)
    stripes = np.zeros((112, 112, 3), np.uint8)
    stripes[:, ::2] = 100
    assert brightness(stripes) == 50.0
    assert sharpness(stripes) == pytest.approx(200.0**2)  # the Laplacian is 200 and -200 in turn
