"""Pairs that can be scored, the table of figures, calibrations and curves by protocol."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.data.sources.shared.aligned_pairs import usable_pairs
from pipeline_lib.matching.scores.shared.table import ScoreColumn, score_table
from pipeline_lib.matching.verification.figures import all_calibrations, all_metrics, curve_rows, flat_metrics
from pipeline_lib.matching.verification.protocols import kfold
from pipeline_lib.params.verify import Verify
from pipeline_lib.schemas.pairs import PAIRS

GENUINE = [True, False, True, False]


def pairs(protocol: str, num_folds: int = 5) -> list[dict[str, object]]:
    """Four pairs a fold, named after their place."""
    return [
        {
            "protocol": protocol,
            "fold": fold,
            "image_a": f"{protocol}{fold}a{i}",
            "image_b": f"{protocol}{fold}b{i}",
            "genuine": g,
        }
        for fold in range(num_folds)
        for i, g in enumerate(GENUINE)
    ]


def images_of(table: pa.Table) -> set[str]:
    return set(table["image_a"].to_pylist()) | set(table["image_b"].to_pylist())


@pytest.fixture
def table() -> pa.Table:
    return table_from_rows([*pairs("lfw"), *pairs("val")], PAIRS)


def test_pairs_without_an_aligned_image_are_dropped_and_counted(table):
    known = images_of(table) - {"lfw0a0", "lfw0b0", "lfw3b2"}
    kept, num_dropped = usable_pairs(table, pa.array(known))
    assert num_dropped == {"lfw": 2, "val": 0}
    assert kept.num_rows == table.num_rows - 2
    assert images_of(kept) <= known


def test_a_protocol_without_a_pair_left_is_named(table):
    with pytest.raises(DataError, match=r"\['val'\]"):
        usable_pairs(table, pa.array([name for name in images_of(table) if name.startswith("lfw")]))
    with pytest.raises(DataError, match="no pairs"):
        usable_pairs(table.slice(0, 0), pa.array(["x"]))


def scored(table: pa.Table) -> pa.Table:
    """A perfect cosine, and a baseline that is blind in lfw and perfect in val."""
    genuine = table["genuine"].to_numpy()
    blind = np.where(table["protocol"].to_numpy() == "lfw", 0.0, genuine)
    columns = {"raw_pixel": ScoreColumn("raw_pixel", False, True), "cosine:net": ScoreColumn("cosine", True, True)}
    return score_table(table, {"raw_pixel": blind, "cosine:net": np.where(genuine, 0.875, 0.125)}, columns)


def params(*rates: float, **protocols: object) -> Verify:
    return Verify.model_validate({"decide": "even_odds", "false_accept_rates": list(rates), "protocols": protocols})


def test_metrics_by_protocol_and_score(table):
    metrics = all_metrics(scored(table), {"lfw": 3, "val": 0}, params(0.1, 0.01))
    assert metrics["lfw"]["cosine:net"] == {
        "accuracy_mean": 1.0,
        "accuracy_std": 0.0,
        "auc": 1.0,
        "eer": 0.0,
        "num_genuine": 10,
        "num_impostor": 10,
        "tar@0.1": 1.0,  # 0.01 is left out: ten impostors cannot show it
        "num_dropped": 3,
    }
    assert metrics["lfw"]["raw_pixel"]["auc"] == 0.5
    assert metrics["lfw"]["raw_pixel"]["constant_scores"] == 1.0  # 0 everywhere; the row says so
    assert metrics["lfw"]["raw_pixel"]["accuracy_mean"] == 0.5
    assert metrics["val"]["raw_pixel"]["auc"] == 1.0
    flat = flat_metrics(metrics)
    assert flat["lfw/cosine:net/tar_at_0.1"] == 1.0
    assert len(flat) == 4 * 8 + 1


def test_an_error_names_protocol_and_score(table):
    broken = scored(table)
    values = broken["cosine:net"].to_numpy().copy()
    values[25] = np.nan
    broken = broken.set_column(broken.column_names.index("cosine:net"), "cosine:net", pa.array(values))
    with pytest.raises(DataError, match=r"protocol val, score cosine:net"):
        all_metrics(broken, {"lfw": 0, "val": 0}, params(0.1))


def test_cosines_step_through_distances_and_other_scores_through_their_own_values():
    # Impostors at 1e-4 below genuine pairs: distances 0.25 and 0.2502 share every step of 0.01.
    scores, genuine = np.tile([0.875, 0.8749], 4), np.tile([True, False], 4)
    table = pa.table({"genuine": genuine, "fold": np.repeat([0, 1], 4)})
    found = [kfold.evaluate(scores, table, [], kfold.Settings(), is_cosine) for is_cosine in (True, False)]
    assert [figures["accuracy_mean"] for figures in found] == [0.5, 1.0]


def test_calibrations_are_of_the_validation_pairs(table):
    found = all_calibrations(scored(table), "even_odds")
    assert set(found) == {"raw_pixel", "cosine:net"}
    assert (found["raw_pixel"].protocol, found["raw_pixel"].num_pairs, found["raw_pixel"].auc) == ("val", 20, 1.0)
    assert found["cosine:net"].threshold == pytest.approx(0.5, abs=1e-6)  # of float32 scores
    lfw_only = table_from_rows(pairs("lfw"), PAIRS)
    assert all_calibrations(scored(lfw_only), "even_odds") == {}


def test_a_table_without_scores_has_protocols_and_no_figures(table):
    empty = score_table(table, {}, {})
    assert all_metrics(empty, {"lfw": 0, "val": 0}, params(0.1)) == {"lfw": {}, "val": {}}
    assert all_calibrations(empty, "even_odds") == {}
    assert curve_rows(empty) == []


def test_protocols_that_no_module_evaluates_or_with_keys_it_does_not_know_are_refused(table):
    for section, message in (({"kind": "absent"}, "no such kind"), ({"kind": "kfold", "folds": 3}, "folds")):
        with pytest.raises(ParamsError, match=rf"{message}[\s\S]*verify\.protocols\.lfw"):
            all_metrics(scored(table), {"lfw": 0, "val": 0}, params(0.1, lfw=section))


def test_curves(table):
    rows = curve_rows(scored(table))
    assert [row for row in rows if row[:2] == ("lfw", "cosine:net")] == [
        ("lfw", "cosine:net", 0.0, 0.0),
        ("lfw", "cosine:net", 0.0, 1.0),
        ("lfw", "cosine:net", 1.0, 1.0),
    ]
    assert {row[:2] for row in rows} == {(p, s) for p in ("lfw", "val") for s in ("raw_pixel", "cosine:net")}
