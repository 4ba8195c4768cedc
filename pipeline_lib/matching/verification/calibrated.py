"""How well the calibrations, fitted on the validation pairs, hold on the other protocols."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, get_args

import numpy as np
import pyarrow as pa

from pipeline_lib.core.roc import Bools, Doubles
from pipeline_lib.matching.scores.shared.pairs import protocol_rows
from pipeline_lib.matching.verification.calibration import Calibration
from pipeline_lib.matching.verification.figures import Metrics
from pipeline_lib.matching.verification.likelihood import cllr, min_cllr, probabilities
from pipeline_lib.matching.verification.reliability import Bin, calibration_error, reliability
from pipeline_lib.params.verify import CalibrationKind

KINDS: tuple[CalibrationKind, ...] = get_args(CalibrationKind)
RELIABILITY_COLUMNS = ("protocol", "score", "calibration", *Bin._fields)
CALIBRATION_ERROR = "calibration_error_"
Fits = Mapping[CalibrationKind, Mapping[str, Calibration]]


class Judged(NamedTuple):
    """A calibration on a protocol's pairs: natural logarithms of likelihood ratios, and the probabilities that follow where as
    large a share of pairs is genuine as there; (N,) each."""

    log_ratios: Doubles
    probabilities: Doubles


def with_calibration(metrics: Metrics, table: pa.Table, fits: Fits) -> Metrics:
    """The metrics (all_metrics of the table) with min_cllr, and of each kind of calibration cllr_<kind> and
    calibration_error_<kind> (likelihood, reliability); the latter two not on the pairs it was fitted on."""
    found: Metrics = {}
    for protocol, rows in protocol_rows(table):
        part, found[protocol] = table.take(rows), {}
        genuine = part["genuine"].to_numpy()
        for score, figures in metrics[protocol].items():
            found[protocol][score] = {**figures, "min_cllr": min_cllr(part[score].to_numpy(), genuine)}
            for kind, judged in judged_on(part, score, fits).items():
                error = float(calibration_error(judged.probabilities, genuine, np.ones((len(genuine), 1)))[0])
                found[protocol][score] |= {
                    f"cllr_{kind}": cllr(judged.log_ratios, genuine),
                    f"{CALIBRATION_ERROR}{kind}": error,
                }
    return found


def reliability_rows(table: pa.Table, fits: Fits) -> Iterator[tuple[str | float, ...]]:
    """Rows of RELIABILITY_COLUMNS: the bins of every score and calibration on every protocol but the one it was fitted on."""
    for protocol, rows in protocol_rows(table):
        part = table.take(rows)
        genuine: Bools = part["genuine"].to_numpy()
        for score in fits[KINDS[0]]:
            for kind, judged in judged_on(part, score, fits).items():
                for found in reliability(judged.probabilities, genuine):
                    yield (protocol, score, kind, *found)


def judged_on(part: pa.Table, score: str, fits: Fits) -> dict[CalibrationKind, Judged]:
    """By kind; empty on the pairs that a calibration was fitted on, and of a score without one.

    Args:
        part: the rows of one protocol of a score table.
    """
    protocol, share = part["protocol"][0].as_py(), float(part["genuine"].to_numpy().mean())
    found = {}
    for kind, by_score in fits.items():
        if score in by_score and by_score[score].protocol != protocol:
            log_ratios = by_score[score].log_ratio(part[score].to_numpy())
            found[kind] = Judged(log_ratios, probabilities(log_ratios, share))
    return found
