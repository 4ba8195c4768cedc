"""The chapter of fusions: its table, its curves, and a page without any."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.report.chapters import fusion
from pipeline_lib.delivery.report.html import render
from tests.delivery.report.fake_rebuild import make_about


def figures(value: float | None) -> dict[str, list[float | None]]:
    around = [None] * 3 if value is None else [value, value - 0.01, value + 0.01]
    return {"accuracy": around, "AUC": around}


def made() -> dict[str, Any]:
    """Two scores on two protocols, and two betas; the blurrier half of one protocol is of one class."""
    rows = [
        {"score": "cosine:x", "what": "x alone", "figures": {"lfw": figures(0.9), "val": figures(0.7)}},
        {"score": "cosine:both", "what": "fusion, both", "figures": {"lfw": figures(0.8), "val": figures(0.75)}},
    ]
    points = [[beta, *figures(0.8)["AUC"]] for beta in (1e-3, 1e-2)]
    nothing = [[beta, None, None, None] for beta in (1e-3, 1e-2)]
    measures = {"accuracy": points, "AUC": points}
    halves = {"all": measures, "sharper": measures, "blurrier": measures}
    lost = {**halves, "blurrier": {"accuracy": nothing, "AUC": nothing}}
    return {"x + y": {"table": rows, "curves": {"vib": {"lfw": halves, "val": lost}}}}


def test_the_table_says_intervals_and_marks_the_best_of_each_protocol() -> None:
    table = fusion.fusion_table(made()["x + y"]["table"], "AUC")
    assert table.columns == ("score", "what it is", "lfw", "val")
    assert table.rows[0] == ("cosine:x", "x alone", "90.00 (89.00 to 91.00)", "70.00 (69.00 to 71.00)")
    assert table.best == {(0, 2), (1, 3)}


def test_a_half_of_one_class_is_left_out_of_the_curves() -> None:
    curves = fusion.beta_curves(made()["x + y"]["curves"]["vib"], "AUC")
    assert {name: list(halves) for name, halves in curves.items()} == {
        "lfw": ["all pairs", "sharper half", "blurrier half"],
        "val": ["all pairs", "sharper half"],
    }
    beta, value, low, high = curves["lfw"]["sharper half"]
    assert beta.tolist() == [1e-3, 1e-2]
    assert np.allclose((value, low, high), [[0.8] * 2, [0.79] * 2, [0.81] * 2])


def test_the_page_has_a_table_and_a_figure_a_measure(tmp_path: Path) -> None:
    (tmp_path / "claims").mkdir()
    path = tmp_path / "claims" / "fusion.json"
    path.write_text(json.dumps(made()))
    found = fusion.read(tmp_path)
    assert found is not None
    page = render("chapters/fusion.html.j2", fusion.show(found, make_about()))
    assert (page.count("<table"), page.count('src="data:image/svg+xml'), page.count("<svg")) == (2, 2, 1)
    assert page == render("chapters/fusion.html.j2", fusion.show(found, make_about()))
    path.write_text("{}")
    assert fusion.read(tmp_path) is None
    path.write_text("{")
    with pytest.raises(DataError, match="fusion"):
        fusion.read(tmp_path)
