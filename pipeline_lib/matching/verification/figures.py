"""The figures of every protocol and score, their curves, and the calibrations, from one table of scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.kinds import kind_settings
from pipeline_lib.core.roc import Bools, roc_curve, thinned
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.matching.scores.shared.pairs import protocol_rows
from pipeline_lib.matching.scores.shared.table import headline, score_columns
from pipeline_lib.matching.verification.calibration import Calibration, fit_calibration
from pipeline_lib.params.verify import CalibrationKind, Decide, Protocol, Verify

KINDS = "matching.verification.protocols"
KFOLD = Protocol(kind="kfold")
MAX_CURVE_POINTS = 300
Metrics = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Evaluation:
    """How a protocol is evaluated: its kind's module and settings, and the false accept rates that are asked for."""

    kind: Any
    settings: Any
    rates: Sequence[float]

    def figures(self, table: pa.Table, score: str) -> dict[str, float]:
        """The figures of a column of a score table of one protocol.

        Raises:
            DataError: a value is NaN or infinite, or see the kind's `evaluate`; names protocol and score.
        """
        is_cosine = score_columns(table)[score].is_cosine
        try:
            figures: dict[str, float] = self.kind.evaluate(
                table[score].to_numpy(), table, self.rates, self.settings, is_cosine
            )
        except DataError as error:
            raise DataError(f"{error}", where=f"protocol {table['protocol'][0]}, score {score}") from error
        if pc.min(table[score]) == pc.max(table[score]):
            figures["constant_scores"] = (
                1.0  # all pairs score the same: the row says so instead of seeming a bad score's
            )
        return figures

    def correct(self, table: pa.Table, score: str) -> Bools | None:
        """Whether each pair was decided right, bool (N,), by kinds whose module has `correct_pairs`; else None."""
        correct_pairs = getattr(self.kind, "correct_pairs", None)
        if correct_pairs is None:
            return None
        found: Bools = correct_pairs(
            table[score].to_numpy(), table, self.settings, score_columns(table)[score].is_cosine
        )
        return found


def evaluation(protocol: str, params: Verify) -> Evaluation:
    """A protocol's evaluation: as params.verify.protocols has it, else kfold.

    Raises:
        ParamsError: no such kind, or a key that its settings do not know.
    """
    section = params.protocols.get(protocol, KFOLD)
    module, settings = kind_settings(KINDS, section.kind, section.own, f"verify.protocols.{protocol}")
    return Evaluation(module, settings, params.false_accept_rates)


def all_metrics(table: pa.Table, num_dropped: Mapping[str, int], params: Verify) -> Metrics:
    """{protocol: {score: figures}} of a score table; `num_dropped`, the pairs without an aligned image, joins the
    figures. A protocol of a table without scores has none.

    Raises:
        DataError: see Evaluation.figures.
        ParamsError: see evaluation.
    """
    metrics: Metrics = {}
    for protocol, rows in protocol_rows(table):
        part, judged = table.take(rows), evaluation(protocol, params)
        metrics[protocol] = {
            score: {**judged.figures(part, score), "num_dropped": num_dropped[protocol]} for score in headline(table)
        }
    return metrics


def all_calibrations(
    table: pa.Table, decide: Decide, kind: CalibrationKind = "logistic", protocol: str = VALIDATION
) -> dict[str, Calibration]:
    """Threshold and curve of every score, on the pairs of one protocol; none where it has no pairs.

    Raises:
        DataError: see fit_calibration.
    """
    part = table.filter(pc.equal(table["protocol"], protocol))
    if not part.num_rows:
        return {}
    genuine = _numpy(part, "genuine")
    return {score: fit_calibration(_numpy(part, score), genuine, protocol, decide, kind) for score in headline(table)}


def curve_rows(table: pa.Table) -> list[tuple[str, str, float, float]]:
    """(protocol, score, FAR, TAR) of every score's ROC on every protocol, at most 300 points a curve."""
    rows = []
    for protocol, pair_rows in protocol_rows(table):
        part = table.take(pair_rows)
        genuine = _numpy(part, "genuine")
        for score in headline(table):
            roc = roc_curve(_numpy(part, score), genuine)
            rows += [(protocol, score, float(roc.far[i]), float(roc.tar[i])) for i in thinned(roc, MAX_CURVE_POINTS)]
    return rows


def flat_metrics(metrics: Metrics) -> dict[str, float]:
    """{"<protocol>/<score>/<figure>": value} without the ends of intervals, which metrics.json has; "tar@0.01" becomes
    "tar_at_0.01", for MLflow allows no @ in a name."""
    return {
        f"{protocol}/{score}/{figure}".replace("@", "_at_"): value
        for protocol, by_score in metrics.items()
        for score, figures in by_score.items()
        for figure, value in figures.items()
        if not figure.endswith(("_low", "_high"))
    }


def best_scores(metrics: Metrics) -> tuple[dict[str, float], dict[str, str]]:
    """Of each protocol that has AUCs the score with the highest one: its figures as flat_metrics has them, without the score's
    name, so that rebuilds have the same keys; and the score's name."""
    best = {
        protocol: max((name for name in by_score if "auc" in by_score[name]), key=lambda name: by_score[name]["auc"])
        for protocol, by_score in metrics.items()
        if any("auc" in figures for figures in by_score.values())
    }
    flat = flat_metrics({protocol: {"best": metrics[protocol][score]} for protocol, score in best.items()})
    return {key.replace("/best/", "/"): value for key, value in flat.items()}, best


def _numpy(table: pa.Table, column: str) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = table[column].to_numpy()
    return values
