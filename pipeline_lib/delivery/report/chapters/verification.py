"""Verification: how well every score tells people apart, and how the registered one decides."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.delivery.report import figures
from pipeline_lib.delivery.report.chapter import About
from pipeline_lib.delivery.report.figures import Curve
from pipeline_lib.delivery.report.html import drawing
from pipeline_lib.delivery.report.inputs import Rows, columns, read_csv, read_curves, read_pair_scores
from pipeline_lib.delivery.report.score_words import BASELINE, score_words
from pipeline_lib.delivery.report.tables import (
    calibration_table,
    headline_scores,
    headline_table,
    protocols_of,
    registered_score,
    shown_score,
)

ORDER = 20
TITLE = "Verification"
NEEDS = ("verify",)


@dataclass(frozen=True)
class Verification:
    """Figures by protocol and score, the pairs' scores, ROC curves by protocol and score, rows of reliability.csv, and the
    registered model.

    `calibration`: empty where there were no validation pairs. `registered`: of data/register/registered.json; None where
    the stage has not run.
    """

    metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]
    scores: pa.Table
    roc: Mapping[str, Mapping[str, Curve]]
    reliability: Rows
    calibration: Mapping[str, Mapping[str, Any]]
    registered: Mapping[str, Any] | None


def read(data: Path) -> Verification:
    """Raises DataError: a file is missing or damaged."""
    folder, registered = data / "verify", data / "register" / "registered.json"
    roc: dict[str, dict[str, Curve]] = {}
    for (protocol, score), curve in read_curves(folder / "roc.csv", ("protocol", "score"), "far", "tar").items():
        roc.setdefault(protocol, {})[score] = curve
    return Verification(
        metrics=read_json(folder / "metrics.json"),
        scores=read_pair_scores(folder / "scores.parquet"),
        roc=roc,
        reliability=read_csv(folder / "reliability.csv"),
        calibration=read_json(folder / "calibration.json"),
        registered=read_json(registered) if registered.is_file() else None,
    )


def show(found: Verification, about: About) -> dict[str, object]:
    """The headline table, and of the registered score, else the best one, what it does on the first protocol.

    Raises:
        DataError: the files do not agree on which scores there are.
    """
    columns = {name for scores in found.metrics.values() for name in scores}
    words = {name: score_words(name, about.params.scores) for name in columns}
    values: dict[str, object] = {"registered": found.registered, "headline": headline_table(found.metrics, words)}
    score = shown_score(found.metrics, found.registered)
    if score is None:
        return {**values, "score": None}
    protocol = first_protocol(found.scores)
    known = found.metrics.get(protocol, {})
    if score not in known:
        raise DataError("The verification figures lack a score.", got=sorted(known), allowed=score)
    return {
        **values,
        "score": words[score],
        "is_registered": score == registered_score(found.registered),
        "protocol": protocol,
        "calibration": _calibrations(found).get(score),
        "histograms": drawing(_histograms(found, protocol, score, words)),
        "rocs": [
            (name, drawing(_roc(found, name, words)), drawing(_det(found, name, words)))
            for name in protocols_of(found.roc)
        ],
        "calibrations": calibration_table(found.metrics, words),
        "reliability": [(name, drawing(picture)) for name, picture in _reliability(found, score).items()],
    }


def first_protocol(scores: pa.Table) -> str:
    """The protocol the headline is taken from: the first one of the table that is not the validation set.

    Raises:
        DataError: the table has no pairs.
    """
    names = pc.unique(scores["protocol"]).to_pylist()
    if not names:
        raise DataError("The pair scores are empty.", allowed="at least one protocol")
    return str(next((name for name in names if name != VALIDATION), names[0]))


def _calibrations(found: Verification) -> dict[str, Mapping[str, Any]]:
    """By score: of the validation pairs, and the registered model's own, which may be the package's."""
    registered = registered_score(found.registered)
    if found.registered is None or registered is None:
        return dict(found.calibration)
    return {**found.calibration, registered: found.registered["calibration"]}


def _histograms(found: Verification, protocol: str, score: str, words: Mapping[str, str]) -> bytes:
    table = found.scores.filter(pc.equal(found.scores["protocol"], protocol))
    genuine = table["genuine"].to_numpy()
    names = [name for name in dict.fromkeys((BASELINE, score)) if name in table.column_names]
    shown = {words[name]: table[name].to_numpy().astype(np.float64) for name in names}
    calibrations = _calibrations(found)
    thresholds = {words[name]: float(calibrations[name]["threshold"]) for name in names if name in calibrations}
    return figures.score_histograms(shown, genuine, thresholds)


def _roc(found: Verification, protocol: str, words: Mapping[str, str]) -> bytes:
    return figures.roc_figure(
        _drawn(found, protocol, words), _most(found, protocol, "num_impostor"), [words.get(BASELINE, BASELINE)]
    )


def _det(found: Verification, protocol: str, words: Mapping[str, str]) -> bytes:
    num_genuine, num_impostor = (_most(found, protocol, name) for name in ("num_genuine", "num_impostor"))
    return figures.det_figure(
        _drawn(found, protocol, words), num_genuine, num_impostor, [words.get(BASELINE, BASELINE)]
    )


def _drawn(found: Verification, protocol: str, words: Mapping[str, str]) -> dict[str, Curve]:
    curves = found.roc[protocol]
    # The mean-centred cosines lie on the plain ones to within a line's width; the table has their figures.
    shown = {name: curves[name] for name in headline_scores(curves) if not name.startswith("cosine_centred:")}
    return {words.get(name, name): curve for name, curve in (shown or curves).items()}


def _most(found: Verification, protocol: str, count: str) -> int:
    return max((int(row[count]) for row in found.metrics.get(protocol, {}).values() if count in row), default=0)


def _reliability(found: Verification, score: str) -> dict[str, bytes]:
    """By protocol; a panel a kind of calibration."""
    panels: dict[str, dict[str, Rows]] = {}
    for row in found.reliability:
        if row["score"] == score:
            panels.setdefault(row["protocol"], {}).setdefault(row["calibration"], []).append(row)
    names = ("probability", "share", "share_low", "share_high", "num_pairs")
    return {
        protocol: figures.reliability_figure(
            {
                kind: [(*bin_[:4], int(bin_[4])) for bin_ in zip(*columns(rows, names, "reliability.csv"), strict=True)]
                for kind, rows in by_kind.items()
            }
        )
        for protocol, by_kind in panels.items()
    }
