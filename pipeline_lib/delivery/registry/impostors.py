"""The scores of two people's faces that a registered score has: every photograph of the chosen pairs against every other's."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.cosine import Floats
from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.scores.shared.columns import open_entry
from pipeline_lib.matching.scores.shared.faces import Faces
from pipeline_lib.matching.scores.shared.pairs import PairSet, faces_of
from pipeline_lib.matching.scores.shared.reads import Reads, reads_below
from pipeline_lib.matching.scores.shared.scorer import Scorer
from pipeline_lib.matching.scores.shared.stored import StoredFaces
from pipeline_lib.matching.scores.shared.table import read_entries
from pipeline_lib.matching.verification.impostors import Impostors, count_impostors

MAX_PHOTOGRAPHS = 700  # 245,000 pairs: enough for 1 % of searches among 800 photographs, and DAM takes seconds for them


def impostors_of(
    column: str, data: Path, protocols: Sequence[str], max_photographs: int = MAX_PHOTOGRAPHS
) -> Impostors | None:
    """Score the photographs in the pairs of some protocols, each against those of other people.

    The pairs that were drawn are too few for a gallery of a thousand, where one of a hundred thousand pairs counts. Templates of
    many photographs are left out. Of more photographs than `max_photographs` each person's first is taken, then each one's
    second, and so on.

    Args:
        column: of the score table.
        data: the rebuild's folder.
        protocols: whose photographs are taken.
        max_photographs: at most.

    Returns:
        None where there are not two people.

    Raises:
        DataError: a file is missing or damaged, or there is no such column.
    """
    reads, scorer = opened_column(column, data)
    pairs = reads.pairs
    table = pairs.table.filter(pc.is_in(pairs.table["protocol"], pa.array(protocols)))
    pairs = dataclasses.replace(pairs, table=table)
    photographs = [face for face in faces_of(table) if face not in pairs.templates]
    chosen, owners = _in_turn(photographs, pairs, max_photographs)
    num_people = len(set(owners.tolist()))
    if num_people < 2:
        return None
    stored = StoredFaces(dataclasses.replace(reads, pairs=pairs), [scorer.needs])
    faces = stored.block(chosen).faces(scorer.needs)
    return count_impostors(_scores(scorer, faces, owners), len(chosen), num_people)


def _scores(scorer: Scorer, faces: Faces, owners: npt.NDArray[np.int64]) -> Iterator[Floats]:
    for row in range(len(owners) - 1):
        others = row + 1 + np.flatnonzero(owners[row + 1 :] != owners[row])
        if len(others):
            yield scorer.score(faces.take(np.full(len(others), row)), faces.take(others))


def _in_turn(photographs: Sequence[str], pairs: PairSet, num: int) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The first `num` photographs, each person's first ones before anybody's second, and a number for each one's person."""
    if not photographs:
        return [], np.zeros(0, np.int64)
    owners = np.unique(list(pairs.owners(photographs)), return_inverse=True)[1]
    num_seen: Counter[int] = Counter()
    turns = []
    for owner in owners.tolist():
        turns.append(num_seen[owner])
        num_seen[owner] += 1
    order = np.argsort(turns, kind="stable")[:num]
    return [photographs[place] for place in order.tolist()], owners[order]


def opened_column(column: str, data: Path) -> tuple[Reads, Scorer]:
    """What a column's entry reads, and its scorer; raises DataError where there is no such column."""
    for name, entry in read_entries(data / "scores").items():
        reads = reads_below(data, entry)
        if column in (scorers := open_entry(name, entry, reads)):
            return reads, scorers[column]
    raise DataError("There is no such score.", got=column, where=data / "scores")
