"""Tables of pairs with their scores, and what each column is, kept in the file: one an entry, and all of them joined."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import atomic_file
from pipeline_lib.params.scores import Score
from pipeline_lib.schemas.pairs import PAIRS

COLUMNS, ENTRY = "scores", "entry"  # keys of the schema's metadata


@dataclass(frozen=True)
class ScoreColumn:
    """What a column holds: scores of a `kind` of matching/scores; `is_cosine` and `in_headline` as of its Scorer."""

    kind: str
    is_cosine: bool
    in_headline: bool


def score_table(
    pairs: pa.Table,
    values: Mapping[str, npt.ArrayLike],
    columns: Mapping[str, ScoreColumn],
    entry: Score | None = None,
) -> pa.Table:
    """The pairs (schemas.pairs.PAIRS) with one float32 column a score.

    Args:
        pairs: N of them.
        values: (N,) each, by column.
        columns: what each is.
        entry: of params.scores, where the columns are those of one entry.
    """
    arrays = [pa.array(np.asarray(scores, np.float32)) for scores in values.values()]
    schema = pa.schema([*PAIRS, *((name, pa.float32()) for name in values)], metadata=_metadata(columns, entry))
    return pa.table([*(pairs[name] for name in PAIRS.names), *arrays], schema=schema)


def score_columns(table: pa.Table) -> dict[str, ScoreColumn]:
    """What the score columns of a table are, in their order."""
    raw = json.loads((table.schema.metadata or {}).get(COLUMNS.encode(), b"{}"))
    return {name: ScoreColumn(**fields) for name, fields in raw.items()}


def headline(table: pa.Table) -> list[str]:
    """The columns that are scores of whole faces: all but those of single regions."""
    return [name for name, column in score_columns(table).items() if column.in_headline]


def write_scores(path: Path, table: pa.Table) -> None:
    """Write a score table as Parquet."""
    with atomic_file(path) as partial:
        pq.write_table(table, partial, compression="zstd")


def read_scores(path: Path) -> pa.Table:
    """Read what write_scores wrote.

    Raises:
        DataError: the file is missing, is no Parquet table, or has other columns than it says.
    """
    try:
        table = pq.read_table(path)
        names = list(score_columns(table))
    except FileNotFoundError:
        raise DataError("A table of scores is missing; run the score stage.", where=path) from None
    except (pa.ArrowInvalid, ValueError, TypeError) as error:
        raise DataError("A file is no table of scores; rerun the score stage.", got=error, where=path) from error
    if table.column_names != [*PAIRS.names, *names]:
        problem = "A table of scores has other columns than it says; rerun the score stage."
        raise DataError(problem, got=table.column_names, allowed=[*PAIRS.names, *names], where=path)
    return table


def joined(pairs: pa.Table, paths: Iterable[Path]) -> pa.Table:
    """The pairs with the columns of all files, in their order.

    Raises:
        DataError: see read_scores; a file is of other pairs than `pairs`, or has a column that another has, too.
    """
    values: dict[str, pa.ChunkedArray] = {}
    columns: dict[str, ScoreColumn] = {}
    for path in paths:
        table = read_scores(path)
        if not table.select(PAIRS.names).equals(pairs.select(PAIRS.names)):
            got = f"{table.num_rows} pairs"
            problem = "A table of scores is of other pairs; rerun its score stage."
            raise DataError(
                problem, got=got, allowed=f"the {pairs.num_rows} pairs whose faces were aligned", where=path
            )
        twice = [name for name in score_columns(table) if name in columns]
        if twice:
            raise DataError("Two entries of scores have columns of one name.", got=twice, where=path)
        columns |= score_columns(table)
        values |= {name: table[name] for name in score_columns(table)}
    return score_table(pairs, values, columns)


def read_entries(folder: Path) -> dict[str, Score]:
    """The entry of params.scores that each table of a folder was scored with, by its name.

    Raises:
        DataError: a table says no entry.
    """
    entries = {}
    for path in sorted(folder.glob("*.parquet")):
        try:
            entries[path.stem] = Score.model_validate_json((pq.read_schema(path).metadata or {})[ENTRY.encode()])
        except (pa.ArrowInvalid, KeyError, ValueError) as error:
            raise DataError("A table of scores says no entry; rerun the score stage.", got=error, where=path) from error
    return entries


def _metadata(columns: Mapping[str, ScoreColumn], entry: Score | None) -> dict[str, str]:
    said = {COLUMNS: json.dumps({name: asdict(column) for name, column in columns.items()})}
    return said if entry is None else {**said, ENTRY: entry.model_dump_json(by_alias=True)}
