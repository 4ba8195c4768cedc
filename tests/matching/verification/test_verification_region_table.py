"""RRFNet's Table II: figures by hand, the paper's order, and what stays out of the other figures."""

import time

import numpy as np
import pyarrow as pa
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.data.patches.grid import unique_regions
from pipeline_lib.matching.verification.protocols import all_calibrations, all_metrics, curve_rows, score_names
from pipeline_lib.matching.verification.region_table import REGION_COLUMNS, region_rows
from pipeline_lib.schemas.pairs import PAIRS

KEYS = ("protocol", "fold", "image_a", "image_b", "genuine")


def score_table(num: int, scores: dict[str, np.ndarray], protocols: tuple[str, ...] = ("lfw",)) -> pa.Table:
    """`num` pairs a protocol in two folds, each half genuine, with score columns of num·len(protocols) values."""
    rows = [
        (name, int(k >= num // 2), f"a{k}", f"b{k}", k % 2 == 0)
        for name in protocols
        for k in range(num)
    ]  # fmt: skip
    table = table_from_rows([dict(zip(KEYS, row, strict=True)) for row in rows], PAIRS)
    for name, values in scores.items():
        table = table.append_column(name, pa.array(np.asarray(values, np.float32)))
    return table


def rows_of(table: pa.Table, networks: list[str]) -> list[dict[str, object]]:
    metrics = all_metrics(table, dict.fromkeys(set(table["protocol"].to_pylist()), 0), [0.1])
    return [dict(zip(REGION_COLUMNS, row, strict=True)) for row in region_rows(table, metrics, networks)]


def test_golden_figures_of_one_region():
    # Genuine (even) and impostor pairs of fold 0, then of fold 1. Each fold's best threshold on the other lies between
    # its genuine and impostor scores: fold 0's keeps all of fold 1 right, fold 1's lets fold 0's 0.55 in.
    values = np.array([0.9, 0.1, 0.8, 0.55, 0.7, 0.2, 0.6, 0.1])
    flat = np.linspace(0, 1, 8)
    found, *rest = rows_of(score_table(8, {"cosine:net": flat, "region.p28_x0_y0": values}), ["net"])
    assert found["kind"] == "position"
    assert found["score"] == "region.p28_x0_y0"
    # Stepping through squared distances d = 2 - 2 cos from 0 on, the first best t of fold 1 (genuine d 0.6, 0.8;
    # impostor 1.6, 1.8) is 0.81, cos 0.595: fold 0 is all right. That of fold 0 (0.2, 0.4; 0.9, 1.8) is 0.41, cos
    # 0.795: both genuine pairs of fold 1 are refused.
    assert (found["accuracy_mean"], found["accuracy_std"]) == (0.75, 0.25)
    assert (found["auc"], found["eer"]) == (1.0, 0.0)  # all genuine scores are above 0.55
    assert (found["num_genuine"], found["num_impostor"]) == (4, 4)
    assert [row["kind"] for row in rest] == ["whole_face"]


def test_order_is_the_papers_and_figures_are_those_of_the_metrics():
    rng = np.random.default_rng(0)
    names = ["cosine:net", "regions_28", "regions_56", "regions_28_56", "dam_r", "region.p56_x28_y0"]
    names += ["region.p28_x14_y14", "region.p28_x0_y14", "region.p28_x42_y0", "region.p56_x0_y28"]
    protocols = ("lfw", "val")
    table = score_table(40, {name: rng.normal(size=80) for name in names}, protocols)
    rows = rows_of(table, ["net"])
    expected = [
        "region.p28_x42_y0",
        "region.p28_x0_y14",
        "region.p28_x14_y14",
        "region.p56_x28_y0",
        "region.p56_x0_y28",
    ]
    expected += ["regions_28", "regions_56", "regions_28_56", "cosine:net"]
    assert [(row["protocol"], row["score"]) for row in rows] == [(p, name) for p in protocols for name in expected]
    metrics = all_metrics(table, {"lfw": 0, "val": 0}, [])
    assert [row["auc"] for row in rows if row["score"] == "regions_28_56"] == [
        metrics[name]["regions_28_56"]["auc"] for name in protocols
    ]


def test_single_regions_stay_out_of_the_other_figures():
    rng = np.random.default_rng(0)
    scores = {name: rng.normal(size=20) for name in ("cosine:net", "regions_28", "region.p28_x0_y0")}
    table = score_table(20, scores, ("val",))
    wanted = {"cosine:net", "regions_28"}
    assert set(score_names(table)) == wanted
    assert set(all_metrics(table, {"val": 0}, [])["val"]) == wanted
    assert set(all_calibrations(table)) == wanted
    assert {row[1] for row in curve_rows(table)} == wanted


def test_no_regions_no_rows_of_them():
    rows = rows_of(score_table(8, {"cosine:net": np.linspace(0, 1, 8)}), ["net"])
    assert [row["score"] for row in rows] == ["cosine:net"]


def test_what_is_missing_or_nan_is_named():
    flat = np.linspace(0, 1, 8)
    with pytest.raises(DataError, match=r"whole face[\s\S]*cosine:other[\s\S]*protocol lfw"):
        rows_of(score_table(8, {"cosine:net": flat, "region.p28_x0_y0": flat}), ["other"])
    broken = np.where(np.arange(8) == 3, np.nan, flat)
    with pytest.raises(DataError, match=r"NaN[\s\S]*pairs \[3\][\s\S]*protocol lfw, score region\.p28_x0_y0"):
        rows_of(score_table(8, {"cosine:net": flat, "region.p28_x0_y0": broken}), ["net"])


def test_lfw_and_cfp_take_seconds():
    """34 regions on 6000 + 7000 + 7000 pairs in ten folds; measured 0.7 s on one core; the bound is for a busy machine."""
    rng = np.random.default_rng(0)
    sizes = {"lfw": 6000, "cfp_ff": 7000, "cfp_fp": 7000}
    num = sum(sizes.values())
    genuine = np.arange(num) % 2 == 0
    columns = {
        "protocol": np.repeat(list(sizes), list(sizes.values())),
        "fold": (np.arange(num) % 10).astype(np.int32),
        "genuine": genuine,
    }
    for region in (region for size in (28, 56) for region in unique_regions(size)):
        columns[f"region.{region.name}"] = (0.2 * genuine + rng.normal(0, 0.2, num)).astype(np.float32)
    begun = time.perf_counter()
    rows = list(region_rows(pa.table(columns), {}, []))
    assert len(rows) == 3 * 34
    assert time.perf_counter() - begun < 20
