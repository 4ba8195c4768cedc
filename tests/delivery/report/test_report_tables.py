"""The headline table, on the page and on a terminal."""

import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.report.tables import as_text, calibration_table, headline_table

ROW = {"accuracy_mean": 0.5, "accuracy_std": 0.25, "auc": 0.5, "eer": 0.125, "num_genuine": 3, "num_impostor": 4}


def test_headline_orders_protocols_and_scores_and_shows_unresolved_rates_as_a_dash() -> None:
    metrics = {
        "val": {"dam:r": ROW},
        "lfw": {"mine": ROW, "cosine:n": {**ROW, "tar@0.01": 0.75, "tar@0.1": 0.875}, "raw_pixel": ROW},
    }
    table = headline_table(metrics)
    assert table.columns[5:7] == ("TAR@FAR 0.1", "TAR@FAR 0.01")
    assert [row[:2] for row in table.rows] == [
        ("lfw", "raw_pixel"), ("lfw", "cosine:n"), ("lfw", "mine"), ("val", "dam:r")
    ]  # fmt: skip
    assert table.rows[0] == ("lfw", "raw_pixel", "50.00 ± 25.00 %", "0.5000", "12.50 %", "–", "–", "3 + 4")
    assert table.rows[1][5:7] == ("87.50 %", "75.00 %")
    assert table.groups == (True, False, False, True)
    assert len({len(line) for line in as_text(table).splitlines()}) == 1  # aligned


def test_headline_without_a_figure_names_it() -> None:
    with pytest.raises(DataError, match="lfw / dam:r without 'auc'"):
        headline_table({"lfw": {"dam:r": {key: value for key, value in ROW.items() if key != "auc"}}})


def test_headline_shows_the_widest_combination_of_an_entry_only() -> None:
    scores = ["regions:28", "dam:r", "regions:56", "regions:28_56", "even:28", "even:28_56", "cosine:n"]
    shown = [row[1] for row in headline_table({"lfw": dict.fromkeys(scores, ROW)}).rows]
    assert shown == ["cosine:n", "regions:28_56", "dam:r", "even:28_56"]
    assert [row[1] for row in headline_table({"lfw": {"regions:28": ROW}}).rows] == ["regions:28"]


def test_headline_of_nothing_is_empty() -> None:
    assert headline_table({"lfw": {}}).rows == ()


def test_intervals_are_second_lines_where_they_are_asked_for() -> None:
    ends = {"auc_low": 0.25, "auc_high": 0.75, "tar@0.1": 0.5, "tar@0.1_low": 0.125, "tar@0.1_high": 1.0}
    metrics = {"lfw": {"a": {**ROW, **ends, "num_identities": 12}, "b": {**ROW, "constant_scores": 1.0}}}
    shown, constant = headline_table(metrics, {"a": "a in words"}).rows
    assert shown[3:] == ("0.5000\n0.250 to 0.750", "12.50 %", "50.00 %\n12.5 to 100.0", "3 + 4\n12 people")
    assert (shown[1], constant[1]) == ("a in words\na", "b (constant: tells nothing)")
    assert headline_table(metrics, {}).best == {(0, 3), (1, 3)}  # the largest AUC, which both have
    plain = headline_table(metrics)
    assert plain.columns[5:] == ("TAR@FAR 0.1", "pairs")  # the ends are no rates
    assert "\n" not in "".join(cell for row in plain.rows for cell in row)


def test_calibrations_have_a_row_where_they_were_judged() -> None:
    judged = {f"{name}_{kind}": 0.25 for name in ("cllr", "calibration_error") for kind in ("logistic", "isotonic")}
    ends = {"calibration_error_isotonic_low": 0.125, "calibration_error_isotonic_high": 0.5}
    table = calibration_table(
        {"lfw": {"a": {**ROW, **judged, **ends, "min_cllr": 0.5}}, "val": {"a": {**ROW, "min_cllr": 0.5}}}, {}
    )
    assert table is not None
    assert table.rows == (("lfw", "a", "0.500", "0.250", "0.250", "25.0 %", "25.0 %\n12.5 to 50.0"),)
    assert calibration_table({"val": {"a": ROW}}, {}) is None
