"""Table II of RRFNet: every region alone, every combination of regions, and the networks beside them, on every protocol."""

from collections.abc import Iterator, Mapping

import pyarrow as pa

from pipeline_lib.matching.regions.fits import reading_order
from pipeline_lib.matching.scores.shared.pairs import protocol_rows
from pipeline_lib.matching.scores.shared.table import score_columns
from pipeline_lib.matching.verification.figures import Metrics, evaluation
from pipeline_lib.params.verify import Verify

REGION_FIGURES = ("accuracy_mean", "accuracy_std", "auc", "eer", "num_genuine", "num_impostor")
REGION_COLUMNS = ("protocol", "kind", "score", *REGION_FIGURES)
POSITION, COMBINATION, VARIANT, NETWORK = "position", "combination", "variant", "network"
REGIONS_KIND, NETWORK_KIND = "regions", "cosine"


def region_rows(table: pa.Table, metrics: Metrics, params: Verify) -> Iterator[tuple[str | float, ...]]:
    """Rows of REGION_COLUMNS, protocol by protocol in the order of the paper: regions by size and row, combinations, networks;
    then the ways in which the widest combination was fitted, columns <entry>:<combination>/<variant>.

    Of the networks those that see the whole face are the paper's 112x112 receptive field; a reader picks them. There are no
    rows without a single region, and none of a protocol whose kind has other figures: the table's are those of k folds.

    Args:
        table: a score table, of scores of kind `regions` and others.
        metrics: of the same table (all_metrics): the figures of combinations and networks are these, not new ones.
        params: how protocols are evaluated.

    Raises:
        DataError: see Evaluation.figures.
    """
    columns = score_columns(table)
    regions = [name for name, column in columns.items() if column.kind == REGIONS_KIND]
    beside = [name for name in regions if not columns[name].in_headline]
    alone = _in_reading_order([name for name in beside if "/" not in name])
    if not alone:
        return
    together = {name: COMBINATION for name in regions if columns[name].in_headline}
    together |= {name: NETWORK for name, column in columns.items() if column.kind == NETWORK_KIND}
    for protocol, rows in protocol_rows(table):
        part, judged = table.take(rows), evaluation(protocol, params)
        found = [(POSITION, score, judged.figures(part, score)) for score in alone]
        found += [(kind, score, metrics[protocol][score]) for score, kind in together.items()]
        found += [(VARIANT, score, judged.figures(part, score)) for score in beside if "/" in score]
        for kind, score, figures in found:
            if set(REGION_FIGURES) <= set(figures):
                yield _row(protocol, kind, score, figures)


def _in_reading_order(scores: list[str]) -> list[str]:
    """Columns <entry>:<position>, entry by entry."""
    entries: dict[str, list[str]] = {}
    for score in scores:
        entry, _, position = score.rpartition(":")
        entries.setdefault(entry, []).append(position)
    return [f"{entry}:{region.name}" for entry, names in entries.items() for region in reading_order(names)]


def _row(protocol: str, kind: str, score: str, figures: Mapping[str, float]) -> tuple[str | float, ...]:
    return (protocol, kind, score, *(figures[name] for name in REGION_FIGURES))
