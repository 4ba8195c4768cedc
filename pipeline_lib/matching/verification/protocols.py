"""Pairs, folds and the table of figures of one protocol."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.roc import area_under, equal_error_rate, roc_curve, tars_at_fars, thinned
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.matching.verification.calibration import Calibration, fit_calibration
from pipeline_lib.matching.verification.kfold import cosine_fold_accuracy, score_fold_accuracy
from pipeline_lib.schemas.pairs import PAIRS

POSITION_PREFIX = "region."  # of the scores of single regions, which have a table of their own (region_table)
MAX_CURVE_POINTS = 300
Metrics = dict[str, dict[str, dict[str, float]]]


def protocol_rows(table: pa.Table) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
    """(name, int64 rows) of each protocol of a table of pairs, in the order of their first pairs."""
    names = table["protocol"].combine_chunks().dictionary_encode()
    codes = names.indices.to_numpy(zero_copy_only=False)
    for code, name in enumerate(names.dictionary.to_pylist()):
        yield name, np.flatnonzero(codes == code)


def is_cosine(score: str) -> bool:
    """Whether a score is a cosine of feature vectors, whose folds' thresholds step through squared distances."""
    return score.startswith(("cosine:", "cosine_centred:", POSITION_PREFIX))


def score_metrics(
    score: str, values: npt.ArrayLike, genuine: npt.ArrayLike, folds: npt.ArrayLike, rates: Sequence[float]
) -> dict[str, float]:
    """The figures of one score on one protocol.

    accuracy_mean, accuracy_std (population), auc, eer in [0, 1]; num_genuine, num_impostor; tar@<rate> of those rates
    that the impostors resolve (roc.tar_at_far). Cosines of feature vectors take kfold.cosine_fold_accuracy, whose
    thresholds are the published protocol's; all others score_fold_accuracy, for they have no fixed range to step
    through.

    Raises:
        DataError: see roc.check_scores and kfold.
    """
    by_folds = (cosine_fold_accuracy if is_cosine(score) else score_fold_accuracy)(values, genuine, folds)
    roc = roc_curve(values, genuine)
    return {
        "accuracy_mean": by_folds.mean,
        "accuracy_std": by_folds.std,
        "auc": area_under(roc),
        "eer": equal_error_rate(roc)[0],
        "num_genuine": roc.num_genuine,
        "num_impostor": roc.num_impostor,
        **tars_at_fars(roc, rates),
    }


def all_metrics(table: pa.Table, num_dropped: Mapping[str, int], rates: Sequence[float]) -> Metrics:
    """{protocol: {score: figures}} of a score table; `num_dropped`, the pairs without an aligned image, joins the
    figures.

    Raises:
        DataError: see score_metrics; names protocol and score.
    """
    metrics: Metrics = {}
    for protocol, rows in protocol_rows(table):
        part = table.take(rows)
        genuine, folds = _numpy(part, "genuine"), _numpy(part, "fold")
        metrics[protocol] = {}
        for score in score_names(table):
            try:
                figures = score_metrics(score, _numpy(part, score), genuine, folds, rates)
            except DataError as error:
                raise DataError(f"{error}", where=f"protocol {protocol}, score {score}") from error
            metrics[protocol][score] = {**figures, "num_dropped": num_dropped[protocol]}
    return metrics


def all_calibrations(table: pa.Table, protocol: str = VALIDATION) -> dict[str, Calibration]:
    """Threshold and logistic curve of every score, on the pairs of one protocol.

    Raises:
        DataError: the protocol has no pairs, or see fit_calibration.
    """
    part = table.filter(pc.equal(table["protocol"], protocol))
    if not part.num_rows:
        allowed = sorted(set(table["protocol"].to_pylist()))
        raise DataError(
            "The protocol to calibrate on has no pairs; raise ingest.val_share.", got=protocol, allowed=allowed
        )
    genuine = _numpy(part, "genuine")
    return {score: fit_calibration(_numpy(part, score), genuine, protocol) for score in score_names(table)}


def curve_rows(table: pa.Table) -> list[tuple[str, str, float, float]]:
    """(protocol, score, FAR, TAR) of every score's ROC on every protocol, at most 300 points a curve."""
    rows = []
    for protocol, pair_rows in protocol_rows(table):
        part = table.take(pair_rows)
        genuine = _numpy(part, "genuine")
        for score in score_names(table):
            roc = roc_curve(_numpy(part, score), genuine)
            rows += [(protocol, score, float(roc.far[i]), float(roc.tar[i])) for i in thinned(roc, MAX_CURVE_POINTS)]
    return rows


def flat_metrics(metrics: Metrics) -> dict[str, float]:
    """{"<protocol>/<score>/<figure>": value}; "tar@0.01" becomes "tar_at_0.01", for MLflow allows no @ in a name."""
    return {
        f"{protocol}/{score}/{figure}".replace("@", "_at_"): value
        for protocol, by_score in metrics.items()
        for score, figures in by_score.items()
        for figure, value in figures.items()
    }


def score_names(table: pa.Table) -> list[str]:
    """The columns of a score table that are scores of whole faces: all but the single regions'."""
    columns = [name for name in table.column_names if name not in PAIRS.names]
    return [name for name in columns if not name.startswith(POSITION_PREFIX)]


def _numpy(table: pa.Table, column: str) -> npt.NDArray[np.generic]:
    values: npt.NDArray[np.generic] = table[column].to_numpy()
    return values
