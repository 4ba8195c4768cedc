"""Table II of RRFNet: every region alone, every combination of regions, and the whole face, on every protocol."""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.regions.fits import COMBINATION_PREFIX, reading_order
from pipeline_lib.matching.verification.protocols import POSITION_PREFIX, Metrics, protocol_rows, score_metrics

REGION_FIGURES = ("accuracy_mean", "accuracy_std", "auc", "eer", "num_genuine", "num_impostor")
REGION_COLUMNS = ("protocol", "kind", "score", *REGION_FIGURES)
POSITION, COMBINATION, WHOLE_FACE = "position", "combination", "whole_face"


def region_rows(table: pa.Table, metrics: Metrics, networks: Sequence[str]) -> Iterator[tuple[str | float, ...]]:
    """Rows of REGION_COLUMNS, protocol by protocol in the order of the paper: regions by size and row, combinations, face.

    Args:
        table: a score table with a column for each region.
        metrics: of the same table (all_metrics): the figures of combinations and networks are these, not new ones.
        networks: those whose cosine stands for the 112x112 receptive field.

    Raises:
        DataError: the metrics lack a protocol or a network, or see score_metrics; names protocol and score.
    """
    names = [name.removeprefix(POSITION_PREFIX) for name in table.column_names if name.startswith(POSITION_PREFIX)]
    alone = [f"{POSITION_PREFIX}{region.name}" for region in reading_order(names)]
    for protocol, rows in protocol_rows(table):
        part = table.take(rows)
        genuine, folds = part["genuine"].to_numpy(), part["fold"].to_numpy()
        for score in alone:
            try:
                figures = score_metrics(score, part[score].to_numpy(), genuine, folds, ())
            except DataError as error:
                raise DataError(f"{error}", where=f"protocol {protocol}, score {score}") from error
            yield _row(protocol, POSITION, score, figures)
        known = metrics.get(protocol, {})
        for score in (name for name in known if name.startswith(COMBINATION_PREFIX)):
            yield _row(protocol, COMBINATION, score, known[score])
        for score in (f"cosine:{network}" for network in networks):
            if score not in known:
                problem = "The metrics lack the whole face that regions are compared with."
                raise DataError(problem, got=sorted(known), allowed=score, where=f"protocol {protocol}")
            yield _row(protocol, WHOLE_FACE, score, known[score])


def _row(protocol: str, kind: str, score: str, figures: Mapping[str, float]) -> tuple[str | float, ...]:
    return (protocol, kind, score, *(figures[name] for name in REGION_FIGURES))
