"""Units of work: a fixed run of input rows, which one worker computes and writes as one shard of each set."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import numpy as np

from pipeline_lib.core.parallel import Hand, Workers, map_tasks
from pipeline_lib.core.progress import Progress, log
from pipeline_lib.data.shards.work import Work
from pipeline_lib.data.shards.writer import Piece, Shard, shard_name

if TYPE_CHECKING:
    import pyarrow as pa

Row = Mapping[str, Any]


class Part(NamedTuple):
    """What came of a batch: a piece of each set's shard, and rows of a table beside them (rejects, occlusions)."""

    pieces: Mapping[str, Piece]
    rows: "pa.Table"


@dataclass(frozen=True)
class Job:
    """What workers do with a unit.

    Args:
        work: where they leave what comes of it.
        function: a batch of rows, as dictionaries, to its Part; picklable, with absolute paths.
        batch_size: rows of a batch, which is computed in a process of its own.
        crashed: what stands for a row that ends its process, see core.parallel.Hand.parts; None: that is an error.
    """

    work: Work
    function: Callable[[Sequence[Row]], Part]
    batch_size: int
    crashed: Callable[[Row, str], Part] | None = None


@dataclass(frozen=True)
class Unit:
    """Rows, one or more, that are worked through in order and become shard `number` of each set."""

    number: int
    rows: "pa.Table"


def units_of(rows: "pa.Table", starts: Sequence[int]) -> list[Unit]:
    """Rows as units that begin at `starts`, increasing from 0; none where there are no rows."""
    borders = pairwise([*starts, len(rows)])
    return [Unit(number, rows.slice(first, end - first)) for number, (first, end) in enumerate(borders)]


def run_units(job: Job, units: Sequence[Unit], workers: Workers, what: str) -> None:
    """Have workers finish all units that are not; the bytes depend neither on how many workers there are nor on who was first.

    Args:
        job: what is done.
        units: of numbers 0, 1, ...
        workers: who does it.
        what: is counted, for a person.

    Raises:
        DataError: a shard cannot be written.
        PipelineError: see core.parallel.map_tasks, and Hand.parts where job.crashed is None.
    """
    todo = [unit for unit in units if not job.work.is_done(unit.number)]
    total, left = (sum(len(unit.rows) for unit in some) for some in (units, todo))
    if left < total:
        log.info("%s: %d of %d were done by a run that was stopped", what, total - left, total)
    with Progress(what, total, total - left) as progress:
        for _ in map_tasks(partial(write_unit, job=job), map(_copied, todo), workers, progress.add):
            pass


def write_unit(hand: Hand, unit: Unit, job: Job) -> None:
    """Compute a unit batch by batch, write its shards and tables under other names, and give them theirs when all are whole.

    So a unit may be computed twice, also at the same time: by a worker that was given up, and by the one in its place.
    """
    import pyarrow as pa

    from pipeline_lib.core.tables import write_table
    from pipeline_lib.schemas.shard_index import SHARD_INDEX

    work, number = job.work, unit.number
    folder = work.partial / uuid4().hex
    folder.mkdir(parents=True)
    files = {name: folder / f"{name}.tar" for name in work.sets}
    shards = {name: Shard(files[name], shard_name(work.prefix, number)) for name in work.sets}
    rows: list[pa.Table] = []
    for first in range(0, len(unit.rows), job.batch_size):
        batch = unit.rows.slice(first, job.batch_size).to_pylist()
        for part in hand.parts(job.function, batch, job.crashed):
            for name, piece in part.pieces.items():
                shards[name].append(piece)
            rows.append(part.rows)
        hand.report(len(batch))
    for name, shard in shards.items():
        index = shard.close()
        if len(index):
            work.shards(name).mkdir(parents=True, exist_ok=True)
            with files[name].open("rb") as file:
                os.fsync(file.fileno())
            files[name].replace(work.shard(name, number))
        write_table(work.index(name, number), index, SHARD_INDEX)
    beside = pa.concat_tables(rows)
    write_table(work.rows(number), beside, beside.schema)
    shutil.rmtree(folder)


def _copied(unit: Unit) -> Unit:
    """The unit with rows of its own: a slice would be sent with the whole table behind it."""
    return replace(unit, rows=unit.rows.take(np.arange(len(unit.rows))))
