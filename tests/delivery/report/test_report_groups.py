"""The chapters on groups and on identification, from small files by hand."""

import csv
import json
from pathlib import Path

import pytest
from fake_rebuild import make_about

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.report.chapters import groups, identification
from pipeline_lib.matching.verification.cmc import CMC_COLUMNS
from pipeline_lib.matching.verification.groups import group_columns

COUNTS = {"num_genuine": 40, "num_impostor": 60, "num_people": 25}
RATES = {"accuracy": 0.9, "fmr": 0.125, "fnmr": 0.05, "tar@0.1": 0.75}
ROW = {"protocol": "lfw", "score": "cosine:a", "attribute": "view", **COUNTS, **RATES, "told": "fmr", "note": ""}
FIGURES = {
    "auc": 0.9, "rank@1": 0.5, "rank@10": 0.75, "tpir@0.01": 0.25, "num_gallery": 4, "num_probes": 9, "num_mated": 6,
    "num_strangers": 3,
}  # fmt: skip


def write(
    data: Path, rows: list[dict[str, object]], curves: list[tuple[object, ...]], figures: dict[str, object]
) -> Path:
    (data / "verify").mkdir(parents=True)
    with (data / "verify/groups.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, group_columns([0.1]))
        writer.writeheader()
        writer.writerows(rows)
    with (data / "verify/cmc.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([CMC_COLUMNS, *curves])
    (data / "verify/metrics.json").write_text(json.dumps(figures))
    return data


def test_nothing_to_show_without_groups_and_searches(tmp_path: Path) -> None:
    data = write(tmp_path, [], [], {"lfw": {}})
    assert groups.read(data) is None
    assert identification.read(data) is None


def test_what_is_too_small_stands_in_brackets(tmp_path: Path) -> None:
    one_class = {**ROW, "group": "profile", "accuracy": None, "fmr": None, "told": "", "note": "genuine pairs only"}
    rows = [{**ROW, "group": "frontal"}, one_class, {**ROW, "group": "x", "score": "cosine:b"}]
    spread = {"fmr_spread_by_view": 0.0325, "fmr_ratio_by_view": 2.0}
    data = write(tmp_path, rows, [], {"lfw": {"cosine:a": spread, "cosine:b": {}}})
    values = groups.show(groups.read(data), make_about())
    assert values["score"] == "cosine of a"
    assert values["by_group"].rows == (
        ("lfw", "view", "frontal", "", "90.00 %", "12.50 %", "(5.00 %)", "75.00 %", "25", "40 + 60"),
        ("lfw", "view", "profile", "genuine pairs only", "–", "–", "(5.00 %)", "75.00 %", "25", "40 + 60"),
    )
    assert values["by_group"].groups == (True, False)
    assert values["spreads"].rows == (("lfw", "view", "cosine of a", "–", "3.25", "–", "2.00"),)


def test_the_registered_score_is_shown(tmp_path: Path) -> None:
    rows = [{**ROW, "group": "frontal"}, {**ROW, "group": "x", "score": "cosine:b"}]
    data = write(tmp_path, rows, [], {"lfw": {"cosine:a": {}, "cosine:b": {}}})
    (data / "register").mkdir()
    (data / "register/registered.json").write_text(json.dumps({"version": "1", "metric": {"score": "cosine:b"}}))
    values = groups.show(groups.read(data), make_about())
    assert (values["score"], values["spreads"]) == ("cosine of b", None)
    assert [row[2] for row in values["by_group"].rows] == ["x"]


def test_searches_and_their_curves(tmp_path: Path) -> None:
    curves = [("s", "cosine:a", 1, 0.5), ("s", "cosine:a", 2, 0.75)]
    data = write(tmp_path, [], curves, {"s": {"cosine:a": FIGURES}, "lfw": {"cosine:a": {"auc": 1.0}}})
    values = identification.show(identification.read(data), make_about())
    assert values["searches"].columns[2:5] == ("rank 1", "rank 10", "TPIR@FPIR 0.01")
    assert values["searches"].rows == (
        ("s", "cosine of a\ncosine:a", "50.00 %", "75.00 %", "25.00 %", "4", "9", "6", "3"),
    )
    ((name, picture),) = values["pictures"]
    assert name == "s"
    assert picture.uri.startswith("data:image/svg+xml")


def test_a_damaged_table_of_curves_is_named(tmp_path: Path) -> None:
    data = write(tmp_path, [], [("s", "cosine:a", "first", 0.5)], {"s": {}})
    with pytest.raises(DataError, match=r"cmc\.csv"):
        identification.read(data)
