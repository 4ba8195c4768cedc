"""The columns of an entry of `scores`: opened, and computed for a table of pairs."""

from collections.abc import Mapping

import numpy as np

from pipeline_lib.core.cosine import Floats
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.kinds import kind_settings
from pipeline_lib.core.progress import track
from pipeline_lib.matching.scores.shared.reads import Reads
from pipeline_lib.matching.scores.shared.scorer import Scorer
from pipeline_lib.matching.scores.shared.stored import StoredFaces
from pipeline_lib.params.scores import Score

KINDS = "matching.scores"
PAIR_BLOCK = 512  # their pixels as numbers: 150 MB


def open_entry(name: str, entry: Score, reads: Reads) -> dict[str, Scorer]:
    """The scorers of an entry, by column: the entry's name, or <name>:<part>.

    Raises:
        ParamsError: no such kind, or a key that its settings do not know.
        DataError, CheckpointError: what it reads is missing, damaged, or does not fit together.
    """
    module, settings = kind_settings(KINDS, entry.kind, entry.own, f"scores.{name}")
    scorers: Mapping[str, Scorer] = module.open_columns(settings, reads)
    return {f"{name}:{part}" if part else name: scorer for part, scorer in scorers.items()}


def scored_columns(scorers: Mapping[str, Scorer], reads: Reads) -> dict[str, Floats]:
    """The scores of all pairs in each column, float32 (N,); a block of pairs is in memory at a time.

    Raises:
        DataError: an image has no features, or a score cannot be computed; names the column.
    """
    table = reads.pairs.table
    stored = StoredFaces(reads, [scorer.needs for scorer in scorers.values()])
    columns = {name: np.empty(table.num_rows, np.float32) for name in scorers}
    for first in track(range(0, table.num_rows, PAIR_BLOCK), f"blocks of {PAIR_BLOCK} pairs"):
        pairs = table.slice(first, PAIR_BLOCK)
        a, b = (stored.block(pairs[side].to_pylist()) for side in ("image_a", "image_b"))
        for name, scorer in scorers.items():
            try:
                values = scorer.score_rows(a.faces(scorer.needs), b.faces(scorer.needs), pairs)
            except DataError as error:
                raise DataError(f"{error}", where=f"column {name}") from error
            columns[name][first : first + len(values)] = values
    return columns
