"""Intervals of the figures of a table: which there are, what they hold, and who gets none."""

import logging
from collections.abc import Sequence

import numpy as np
import pytest

from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.core.texts import as_texts
from pipeline_lib.matching.scores.shared.pairs import PairSet
from pipeline_lib.matching.scores.shared.table import ScoreColumn, score_table
from pipeline_lib.matching.verification.calibrated import KINDS, RELIABILITY_COLUMNS, reliability_rows, with_calibration
from pipeline_lib.matching.verification.figures import all_calibrations, all_metrics, flat_metrics
from pipeline_lib.matching.verification.intervals import resampled_protocols, with_intervals
from pipeline_lib.matching.verification.resampled_pairs import NoIntervals, ResampledPairs
from pipeline_lib.params.verify import Verify
from pipeline_lib.schemas.pairs import PAIRS

PARAMS = Verify.model_validate({"decide": "even_odds", "false_accept_rates": [0.1, 0.001]})
PLAIN = ("accuracy_mean", "auc", "eer", "tar@0.1")
ERRORS = tuple(f"calibration_error_{kind}" for kind in KINDS)


def made(num_people: int, protocols: Sequence[str] = ("test", "val"), seed: int = 0) -> tuple[PairSet, object]:
    """Four pictures a person, two folds; a good score and one that is 0.5 everywhere."""
    rows, keys = [], [(person, number) for person in range(num_people) for number in range(4)]
    for protocol in protocols:
        for person in range(num_people):
            for number in range(3):
                other = (person + 1 + number) % num_people
                pair = {"protocol": protocol, "fold": person % 2, "image_a": f"{person}/{number}"}
                rows.append({**pair, "image_b": f"{person}/3", "genuine": True})
                rows.append({**pair, "image_b": f"{other}/{number}", "genuine": False})
    table = table_from_rows(rows, PAIRS)
    image_ids = as_texts([f"{person}/{number}" for person, number in keys])
    pairs = PairSet(table, dict.fromkeys(protocols, 0), {}, image_ids, as_texts([f"p{person}" for person, _ in keys]))
    genuine, rng = table["genuine"].to_numpy(), np.random.default_rng(seed)
    values = {"good": rng.normal(genuine * 1.5, 1), "constant": np.full(len(genuine), 0.5)}
    return pairs, score_table(table, values, {name: ScoreColumn("made", False, True) for name in values})


def found(num_people: int, num_samples: int = 200):
    pairs, table = made(num_people)
    fits = {kind: all_calibrations(table, "even_odds", kind) for kind in KINDS}
    metrics = with_calibration(all_metrics(table, pairs.num_dropped, PARAMS), table, fits)
    return with_intervals(metrics, table, fits, resampled_protocols(pairs, num_samples), PARAMS), table, fits


def test_every_figure_of_a_protocol_has_its_ends_around_it():
    metrics, _, _ = found(40)
    for protocol, names in (("test", (*PLAIN, *ERRORS)), ("val", PLAIN)):
        figures = metrics[protocol]["good"]
        assert {name.rpartition("_")[0] for name in figures if name.endswith("_low")} == set(names)
        assert figures["num_identities"] == 40
        for name in PLAIN:
            assert figures[f"{name}_low"] < figures[name] < figures[f"{name}_high"]
        assert figures["auc_high"] - figures["auc_low"] < 0.2
    assert not [name for name in flat_metrics(metrics) if name.endswith(("_low", "_high"))]


def test_constant_scores_have_a_row_that_says_so():
    figures = found(40)[0]["test"]["constant"]
    assert figures["constant_scores"] == 1.0
    assert (figures["auc_low"], figures["auc"], figures["auc_high"]) == (0.5, 0.5, 0.5)
    assert figures["min_cllr"] == pytest.approx(1.0)
    assert [figures[f"cllr_{kind}"] for kind in KINDS] == pytest.approx([1.0, 1.0], abs=1e-3)


def test_equal_runs_give_equal_intervals_and_none_are_given_for_zero_resamples():
    assert found(20, 50)[0] == found(20, 50)[0]
    assert "auc_low" not in found(20, 0)[0]["test"]["good"]


def test_the_accuracy_s_interval_keeps_the_folds_thresholds(monkeypatch):
    """Against the mean of each fold's share of pairs decided right, on pairs really repeated."""
    pairs, table = made(12, ("test",))
    metrics = all_metrics(table, pairs.num_dropped, PARAMS)
    resampled = resampled_protocols(pairs, 60)
    ends = with_intervals(metrics, table, {}, resampled, PARAMS)["test"]["good"]
    from pipeline_lib.matching.verification.protocols import kfold

    right = kfold.correct_pairs(table["good"].to_numpy(), table, kfold.Settings(), False)
    assert right.mean() == pytest.approx(metrics["test"]["good"]["accuracy_mean"])  # the folds are of one size
    drawn = [
        right[np.repeat(np.arange(len(right)), times.astype(int))].mean()
        for block in resampled["test"].blocks()
        for times in block.T
    ]
    expected = np.percentile(drawn, [2.5, 97.5])
    assert [ends["accuracy_mean_low"], ends["accuracy_mean_high"]] == pytest.approx(expected, abs=1e-12)


def test_too_few_people_and_names_that_contradict_the_labels_have_no_intervals(caplog):
    with caplog.at_level(logging.WARNING, "face_verifier"):
        metrics, _, _ = found(9)
    assert "auc_low" not in metrics["test"]["good"]
    assert "protocol test have no intervals" in caplog.text
    assert "9 people" in caplog.text
    people = np.array([[f"{a}", f"{a}"] for a in range(12)])
    with pytest.raises(NoIntervals, match="genuine where, and only where"):
        ResampledPairs(people, np.arange(12) > 0, 20, np.random.default_rng(0))


def test_reliability_rows_are_of_the_protocols_that_were_not_fitted_on():
    _, table, fits = found(20, 0)
    rows = [dict(zip(RELIABILITY_COLUMNS, row, strict=True)) for row in reliability_rows(table, fits)]
    assert {row["protocol"] for row in rows} == {"test"}
    for kind in KINDS:
        own = [row for row in rows if (row["score"], row["calibration"]) == ("good", kind)]
        assert sum(row["num_pairs"] for row in own) == 120
        assert sum(row["num_genuine"] for row in own) == 60
        assert all(row["low"] <= row["probability"] <= row["high"] for row in own)
        assert all(row["share_low"] <= row["share"] <= row["share_high"] for row in own)
    assert list(reliability_rows(table, {kind: {} for kind in KINDS})) == []  # no validation pairs
