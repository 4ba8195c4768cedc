"""Tables joined without all of them in memory."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_lib.core import tables
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import count_distinct, join_tables, read_table, write_table
from pipeline_lib.schemas.landmarks import LANDMARKS

SCHEMA = pa.schema([("name", pa.string()), ("landmarks", LANDMARKS)])


def part(folder: Path, number: int, num_rows: int) -> Path:
    path = folder / f"{number}.parquet"
    rows = [{"name": f"{number}-{row % 2}", "landmarks": [float(row)] * 10 if row else None} for row in range(num_rows)]
    write_table(path, pa.Table.from_pylist(rows, schema=SCHEMA), SCHEMA)
    return path


@pytest.mark.parametrize("rows_at_once", [1, 4, 100])
def test_the_rows_are_those_of_the_parts_in_order(tmp_path: Path, monkeypatch, rows_at_once: int) -> None:
    monkeypatch.setattr(tables, "JOINED_ROWS", rows_at_once)
    parts = [part(tmp_path, number, num) for number, num in enumerate((3, 0, 5, 1))]
    join_tables(parts, tmp_path / "all.parquet", SCHEMA)
    joined = read_table(tmp_path / "all.parquet", SCHEMA)
    assert joined.equals(pa.concat_tables([read_table(path, SCHEMA) for path in parts]).combine_chunks())
    assert count_distinct(tmp_path / "all.parquet", "name") == 5
    assert pq.ParquetFile(tmp_path / "all.parquet").num_row_groups >= (1 if rows_at_once == 100 else 2)


def test_no_parts_are_an_empty_table(tmp_path: Path) -> None:
    join_tables([], tmp_path / "all.parquet", SCHEMA)
    assert len(read_table(tmp_path / "all.parquet", SCHEMA)) == 0


def test_a_missing_part_leaves_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing"):
        join_tables([part(tmp_path, 0, 2), tmp_path / "1.parquet"], tmp_path / "all.parquet", SCHEMA)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.parquet"]
