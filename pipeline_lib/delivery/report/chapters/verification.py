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
from pipeline_lib.delivery.report.figures import BASELINE, Curve
from pipeline_lib.delivery.report.html import svg_uri
from pipeline_lib.delivery.report.inputs import Rows, columns, read_csv, read_curves, read_pair_scores
from pipeline_lib.delivery.report.tables import calibration_table, headline_scores, headline_table, protocols_of

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
    values: dict[str, object] = {
        "registered": found.registered,
        "headline": headline_table(found.metrics, with_intervals=True),
    }
    score = _shown_score(found)
    if score is None:
        return {**values, "score": None}
    protocol = first_protocol(found.scores)
    known = found.metrics.get(protocol, {})
    if score not in known:
        raise DataError("The verification figures lack a score.", got=sorted(known), allowed=score)
    return {
        **values,
        "score": score,
        "is_registered": score == _registered_score(found),
        "facts": _facts(known, protocol, score),
        "protocol": protocol,
        "calibration": _calibrations(found).get(score),
        "histograms": svg_uri(_histograms(found, protocol, score)),
        "rocs": [(name, svg_uri(_roc(found, name)), svg_uri(_det(found, name))) for name in protocols_of(found.roc)],
        "calibrations": calibration_table(found.metrics),
        "reliability": [(name, svg_uri(picture)) for name, picture in _reliability(found, score).items()],
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


def _registered_score(found: Verification) -> str | None:
    """The registered model's column; None where nothing is registered."""
    if found.registered is None or found.registered["version"] is None:
        return None
    return str(found.registered["metric"]["score"])


def _calibrations(found: Verification) -> dict[str, Mapping[str, Any]]:
    """By score: of the validation pairs, and the registered model's own, which may be the package's."""
    registered = _registered_score(found)
    if found.registered is None or registered is None:
        return dict(found.calibration)
    return {**found.calibration, registered: found.registered["calibration"]}


def _shown_score(found: Verification) -> str | None:
    """The registered score, else the one with the largest AUC on the validation pairs; None where there are no scores."""
    registered = _registered_score(found)
    if registered is not None:
        return registered
    judged = found.metrics.get(VALIDATION) or next(iter(found.metrics.values()), {})
    return max(judged, key=lambda name: float(judged[name]["auc"]), default=None)


def _facts(figures_of: Mapping[str, Mapping[str, Any]], protocol: str, score: str) -> list[tuple[str, str]]:
    shown = [(f"{100 * figures_of[score]['accuracy_mean']:.1f} %", f"accuracy of {score} on {protocol}")]
    area = f"{figures_of[score]['auc']:.3f}"
    baseline = figures_of.get(BASELINE)
    if baseline is None or score == BASELINE:
        return [*shown, (area, "AUC")]
    accuracy = f"{100 * baseline['accuracy_mean']:.1f} %"
    return [*shown, (accuracy, "accuracy of raw pixels there"), (area, f"AUC (raw pixels {baseline['auc']:.3f})")]


def _histograms(found: Verification, protocol: str, score: str) -> bytes:
    table = found.scores.filter(pc.equal(found.scores["protocol"], protocol))
    genuine = table["genuine"].to_numpy()
    names = [name for name in dict.fromkeys((BASELINE, score)) if name in table.column_names]
    shown = {name: table[name].to_numpy().astype(np.float64) for name in names}
    calibrations = _calibrations(found)
    thresholds = {name: float(calibrations[name]["threshold"]) for name in shown if name in calibrations}
    return figures.score_histograms(shown, genuine, thresholds)


def _roc(found: Verification, protocol: str) -> bytes:
    return figures.roc_figure(_drawn(found, protocol), _most(found, protocol, "num_impostor"))


def _det(found: Verification, protocol: str) -> bytes:
    counts = (_most(found, protocol, name) for name in ("num_genuine", "num_impostor"))
    return figures.det_figure(_drawn(found, protocol), *counts)


def _drawn(found: Verification, protocol: str) -> dict[str, Curve]:
    curves = found.roc[protocol]
    # The mean-centred cosines lie on the plain ones to within a line's width; the table has their figures.
    shown = {name: curves[name] for name in headline_scores(curves) if not name.startswith("cosine_centred:")}
    return shown or dict(curves)


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
