"""RRFNet's Table II: figures by hand, the paper's order, and what stays out of the other figures."""

import time

import numpy as np
import pyarrow as pa
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.data.patches.grid import unique_regions
from pipeline_lib.matching.scores.shared.table import ScoreColumn, headline
from pipeline_lib.matching.scores.shared.table import score_table as table_of
from pipeline_lib.matching.verification.figures import Evaluation, all_calibrations, all_metrics, curve_rows
from pipeline_lib.matching.verification.region_table import REGION_COLUMNS, region_rows
from pipeline_lib.params.verify import Verify
from pipeline_lib.schemas.pairs import PAIRS

KEYS = ("protocol", "fold", "image_a", "image_b", "genuine")
PARAMS = Verify(decide="even_odds", false_accept_rates=[0.1])


def column(name: str) -> ScoreColumn:
    """What a column of this name is in a rebuild."""
    entry, _, part = name.partition(":")
    return ScoreColumn(entry, entry == "cosine" or part.startswith("p"), not part.startswith("p"))


def score_table(num: int, scores: dict[str, np.ndarray], protocols: tuple[str, ...] = ("lfw",)) -> pa.Table:
    """`num` pairs a protocol in two folds, each half genuine, with score columns of num·len(protocols) values."""
    rows = [
        (name, int(k >= num // 2), f"a{k}", f"b{k}", k % 2 == 0)
        for name in protocols
        for k in range(num)
    ]  # fmt: skip
    table = table_from_rows([dict(zip(KEYS, row, strict=True)) for row in rows], PAIRS)
    return table_of(table, scores, {name: column(name) for name in scores})


def rows_of(table: pa.Table, params: Verify = PARAMS) -> list[dict[str, object]]:
    metrics = all_metrics(table, dict.fromkeys(set(table["protocol"].to_pylist()), 0), params)
    return [dict(zip(REGION_COLUMNS, row, strict=True)) for row in region_rows(table, metrics, params)]


def test_golden_figures_of_one_region():
    # Genuine (even) and impostor pairs of fold 0, then of fold 1. Each fold's best threshold on the other lies between
    # its genuine and impostor scores: fold 0's keeps all of fold 1 right, fold 1's lets fold 0's 0.55 in.
    values = np.array([0.9, 0.1, 0.8, 0.55, 0.7, 0.2, 0.6, 0.1])
    flat = np.linspace(0, 1, 8)
    found, *rest = rows_of(score_table(8, {"cosine:net": flat, "regions:p28_x0_y0": values}))
    assert found["kind"] == "position"
    assert found["score"] == "regions:p28_x0_y0"
    # Stepping through squared distances d = 2 - 2 cos from 0 on, the first best t of fold 1 (genuine d 0.6, 0.8;
    # impostor 1.6, 1.8) is 0.81, cos 0.595: fold 0 is all right. That of fold 0 (0.2, 0.4; 0.9, 1.8) is 0.41, cos
    # 0.795: both genuine pairs of fold 1 are refused.
    assert (found["accuracy_mean"], found["accuracy_std"]) == (0.75, 0.25)
    assert (found["auc"], found["eer"]) == (1.0, 0.0)  # all genuine scores are above 0.55
    assert (found["num_genuine"], found["num_impostor"]) == (4, 4)
    assert [row["kind"] for row in rest] == ["network"]


def test_order_is_the_papers_and_figures_are_those_of_the_metrics():
    rng = np.random.default_rng(0)
    names = ["cosine:net", "regions:28", "regions:56", "regions:28_56", "dam:r", "regions:p56_x28_y0"]
    names += ["regions:p28_x14_y14", "regions:p28_x0_y14", "regions:p28_x42_y0", "regions:p56_x0_y28"]
    protocols = ("lfw", "val")
    table = score_table(40, {name: rng.normal(size=80) for name in names}, protocols)
    rows = rows_of(table)
    expected = [
        "regions:p28_x42_y0",
        "regions:p28_x0_y14",
        "regions:p28_x14_y14",
        "regions:p56_x28_y0",
        "regions:p56_x0_y28",
    ]
    expected += ["regions:28", "regions:56", "regions:28_56", "cosine:net"]
    assert [(row["protocol"], row["score"]) for row in rows] == [(p, name) for p in protocols for name in expected]
    metrics = all_metrics(table, {"lfw": 0, "val": 0}, PARAMS)
    assert [row["auc"] for row in rows if row["score"] == "regions:28_56"] == [
        metrics[name]["regions:28_56"]["auc"] for name in protocols
    ]


def test_single_regions_stay_out_of_the_other_figures():
    rng = np.random.default_rng(0)
    scores = {name: rng.normal(size=20) for name in ("cosine:net", "regions:28", "regions:p28_x0_y0")}
    table = score_table(20, scores, ("val",))
    wanted = {"cosine:net", "regions:28"}
    assert set(headline(table)) == wanted
    assert set(all_metrics(table, {"val": 0}, PARAMS)["val"]) == wanted
    assert set(all_calibrations(table, "even_odds")) == wanted
    assert {row[1] for row in curve_rows(table)} == wanted


def test_no_single_region_no_table():
    flat = np.linspace(0, 1, 8)
    assert rows_of(score_table(8, {"cosine:net": flat, "regions:28": flat})) == []


def test_a_protocol_without_these_figures_has_no_rows(monkeypatch):
    both = np.tile(np.linspace(0, 1, 8), 2)
    table = score_table(8, {"cosine:net": both, "regions:p28_x0_y0": both}, ("ijb", "lfw"))
    monkeypatch.setattr(Evaluation, "figures", without_accuracy(Evaluation.figures))
    assert {row["protocol"] for row in rows_of(table)} == {"lfw"}


def without_accuracy(figures):
    """What a kind without folds would give for the protocol ijb."""

    def changed(self, table, score):
        found = figures(self, table, score)
        return {"auc": found["auc"]} if table["protocol"][0].as_py() == "ijb" else found

    return changed


def test_what_is_nan_is_named():
    flat = np.linspace(0, 1, 8)
    broken = np.where(np.arange(8) == 3, np.nan, flat)
    with pytest.raises(DataError, match=r"NaN[\s\S]*pairs \[3\][\s\S]*protocol lfw, score regions:p28_x0_y0"):
        rows_of(score_table(8, {"cosine:net": flat, "regions:p28_x0_y0": broken}))


def test_lfw_and_cfp_take_seconds():
    """34 regions on 6000 + 7000 + 7000 pairs in ten folds; measured 0.7 s on one core; the bound is for a busy machine."""
    rng = np.random.default_rng(0)
    sizes = {"lfw": 6000, "cfp_ff": 7000, "cfp_fp": 7000}
    num = sum(sizes.values())
    genuine = np.arange(num) % 2 == 0
    pairs = {
        "protocol": np.repeat(list(sizes), list(sizes.values())),
        "fold": (np.arange(num) % 10).astype(np.int32),
        "genuine": genuine,
    }
    pairs |= {name: pa.nulls(num, pa.string()) for name in ("image_a", "image_b", "group")}
    names = [f"regions:{region.name}" for size in (28, 56) for region in unique_regions(size)]
    values = {name: 0.2 * genuine + rng.normal(0, 0.2, num) for name in names}
    table = table_of(pa.table(pairs), values, {name: column(name) for name in names})
    begun = time.perf_counter()
    rows = list(region_rows(table, {}, PARAMS))
    assert len(rows) == 3 * 34
    assert time.perf_counter() - begun < 20
