"""CMC curves of the protocols that are searches, from a table of scores."""

from collections.abc import Iterator

import pyarrow as pa

from pipeline_lib.matching.scores.shared.pairs import protocol_rows
from pipeline_lib.matching.scores.shared.table import headline
from pipeline_lib.matching.verification.figures import evaluation
from pipeline_lib.params.verify import Verify

CMC_COLUMNS = ("protocol", "score", "rank", "share")


def cmc_rows(table: pa.Table, params: Verify) -> Iterator[tuple[str, str, int, float]]:
    """Rows of CMC_COLUMNS, of every score of each protocol whose kind has a `curve` by rank.

    Raises:
        DataError: see the kind's `curve`.
    """
    for protocol, rows in protocol_rows(table):
        kind = evaluation(protocol, params).kind
        if hasattr(kind, "curve"):
            part = table.take(rows)
            for score in headline(table):
                for rank, share in kind.curve(part[score].to_numpy(), part):
                    yield protocol, score, rank, share
