"""Fusion of two networks: the fusion paper's Table I and Fig. 3, and a drawing of what is trained."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline_lib.core.files import read_json
from pipeline_lib.delivery.report import figures
from pipeline_lib.delivery.report.chapter import About
from pipeline_lib.delivery.report.drawing import Band
from pipeline_lib.delivery.report.html import drawing
from pipeline_lib.delivery.report.tables import NO_FIGURE, Table

ORDER = 45
TITLE = "Fusion"
NEEDS = ("claims/fusion.json",)
MEASURES = ("accuracy", "AUC")
HALVES = {"all": "all pairs", "sharper": "sharper half", "blurrier": "blurrier half"}

Figure = Sequence[float | None]  # value, low, high


def read(data: Path) -> Mapping[str, Any] | None:
    """fusion.json, see delivery.claims.fusion_figures; None where no fusion was scored.

    Raises:
        DataError: the file is no JSON.
    """
    found: Mapping[str, Any] = read_json(data / "claims" / "fusion.json")
    return found or None


def show(found: Mapping[str, Any], about: About) -> dict[str, object]:
    """For each pair of networks a table a measure, and a figure a measure of each sweep of beta."""
    return {
        "fused": [
            {
                "over": over,
                "tables": [(measure, fusion_table(each["table"], measure)) for measure in MEASURES],
                "sweeps": [
                    (measure, drawing(figures.beta_figure(beta_curves(sweep, measure), measure)))
                    for sweep in each["curves"].values()
                    for measure in MEASURES
                    if beta_curves(sweep, measure)
                ],
            }
            for over, each in found.items()
        ]
    }


def fusion_table(rows: Sequence[Mapping[str, Any]], measure: str) -> Table:
    """One measure of every score, a column a protocol, in per cent with its interval; the highest of each is marked.

    Args:
        rows: `table` of fusion.json.
        measure: accuracy or AUC.
    """
    protocols = list(rows[0]["figures"]) if rows else []
    values = [[row["figures"][protocol][measure] for protocol in protocols] for row in rows]
    best = {
        (max(range(len(rows)), key=lambda number, place=place: values[number][place][0] or 0.0), 2 + place)  # type: ignore[misc]
        for place in range(len(protocols))
    }
    cells = tuple((row["score"], row["what"], *map(_cell, own)) for row, own in zip(rows, values, strict=True))
    return Table(("score", "what it is", *protocols), cells, (False,) * len(rows), best=frozenset(best))


def beta_curves(sweep: Mapping[str, Any], measure: str) -> dict[str, dict[str, Band]]:
    """What figures.beta_figure draws of a sweep; a half of one class is left out."""
    found: dict[str, dict[str, Band]] = {}
    for protocol, halves in sweep.items():
        for half, words in HALVES.items():
            points = halves[half][measure]
            if all(value is not None for point in points for value in point):
                beta, value, low, high = np.array(points, np.float64).T
                found.setdefault(protocol, {})[words] = (beta, value, low, high)
    return found


def _cell(figure: Figure) -> str:
    value, low, high = figure
    if value is None or low is None or high is None:
        return NO_FIGURE
    return f"{100 * value:.2f} ({100 * low:.2f} to {100 * high:.2f})"
