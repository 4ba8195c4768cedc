"""Packed tables: what goes in comes out, in little memory, and repeats are found."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.core import tables
from pipeline_lib.core.packed import ROWS, PackedTable, packed_table, repeated, with_column

SCHEMA = pa.schema([("text", pa.string()), ("number", pa.int64())])


def made(texts: list[str | None]) -> pa.Table:
    return pa.table({"text": texts, "number": np.arange(len(texts))}, schema=SCHEMA)


@given(st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=30), st.data())
def test_there_and_back(texts: list[str | None], data: st.DataObject) -> None:
    table = made(texts)
    packed = PackedTable(SCHEMA)
    for batch in table.to_batches(4):
        packed.append(batch)
    assert packed.table() == table
    assert (packed.num_rows, list(packed.column("text"))) == (len(texts), texts)
    assert packed.unique("text") == set(texts)
    stays = np.array(data.draw(st.lists(st.booleans(), min_size=len(texts), max_size=len(texts))), np.bool_)
    assert packed.filtered(stays).table() == table.filter(pa.array(stays))
    assert packed.joined([packed]).table() == pa.concat_tables([table, table])
    doubled = packed.mapped(lambda batch: with_column(batch, "number", pa.array(2 * batch["number"].to_numpy())))
    assert doubled.table()["number"].to_pylist() == list(range(0, 2 * len(texts), 2))


@given(st.lists(st.sampled_from("abcdef"), max_size=8), st.lists(st.sampled_from("abcdef"), max_size=8))
def test_repeats(first: list[str], second: list[str]) -> None:
    both = first + second
    found = repeated([packed_table(made(list(first))), packed_table(made(list(second)))], "text")
    assert found == {text for text in both if both.count(text) > 1}


def test_a_row_takes_a_few_bytes() -> None:
    packed = packed_table(made([f"set-{number:08d}" for number in range(20 * ROWS)]))
    assert sum(len(content) for _, content in packed._packed) < 8 * packed.num_rows


def test_a_packed_table_is_written_as_a_whole_one(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(tables, "GROUP_ROWS", 100)
    for num in (0, 1, 100, 250):
        table = made([str(number) for number in range(num)])
        tables.write_table(tmp_path / "packed", packed_table(table), SCHEMA)
        assert tables.read_table(tmp_path / "packed", SCHEMA).equals(table)
        assert pq.ParquetFile(tmp_path / "packed").num_row_groups == max(1, -(-num // 100))
        tables.write_table(tmp_path / "whole", table, SCHEMA)
        assert ((tmp_path / "packed").read_bytes() == (tmp_path / "whole").read_bytes()) == (num <= 100)
