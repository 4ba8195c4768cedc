"""The one way tables are written and read: Parquet, held against a schema."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import atomic_file

JOINED_ROWS = 2**18  # of a row group, and so in memory, while tables are joined


def write_table(path: Path, table: pa.Table, schema: pa.Schema) -> None:
    """Write `table` as Parquet after checking that it has exactly the columns of `schema`.

    Raises:
        DataError: a column is missing, extra, or of another type.
    """
    with atomic_file(path) as partial:
        # Without the Arrow schema in the file, fixed-size lists come back as lists and _checked makes them fixed again: Arrow
        # 25 writes a null one but cannot read it (apache/arrow issue 35692), and landmarks are null for most sources.
        pq.write_table(_checked(table, schema, path), partial, compression="zstd", store_schema=False)


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a Parquet table and check it against `schema`.

    Raises:
        DataError: the file is missing, is not Parquet, or its columns differ.
    """
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise DataError("A table is missing; run the stage that writes it.", where=path) from None
    except pa.ArrowInvalid as error:
        raise DataError(
            "A file is not a readable Parquet table; rerun the stage that writes it.", got=error, where=path
        ) from error
    return _checked(table, schema, path)


def count_distinct(path: Path, column: str) -> int:
    """How many different values a column of a Parquet table has; no other column is read."""
    return int(pc.count_distinct(pq.read_table(path, columns=[column])[column]).as_py())


def join_tables(parts: Iterable[Path], path: Path, schema: pa.Schema) -> None:
    """Write the rows of several tables, one after the other, as one; few of them are in memory at a time.

    Raises:
        As read_table.
    """
    waiting: list[pa.Table] = []
    with (
        atomic_file(path) as partial,
        pq.ParquetWriter(partial, schema, compression="zstd", store_schema=False) as writer,
    ):

        def write_waiting() -> None:
            writer.write_table(pa.concat_tables(waiting).combine_chunks(), row_group_size=JOINED_ROWS)
            waiting.clear()

        for part in parts:
            waiting.append(read_table(part, schema))
            if sum(map(len, waiting)) >= JOINED_ROWS:
                write_waiting()
        if waiting:
            write_waiting()


def table_from_rows(rows: list[dict[str, object]], schema: pa.Schema) -> pa.Table:
    """Build a table from row dictionaries; an empty list gives an empty table of the right schema."""
    return pa.Table.from_pylist(rows, schema=schema)


def _checked(table: pa.Table, schema: pa.Schema, path: Path) -> pa.Table:
    missing = [name for name in schema.names if name not in table.column_names]
    extra = [name for name in table.column_names if name not in schema.names]
    if missing or extra:
        raise DataError(
            "A table's columns differ from the contract.", got=table.column_names, allowed=schema.names, where=path
        )
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise DataError("A table's column has another type.", got=error, allowed=schema, where=path) from error
