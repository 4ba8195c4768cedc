"""Tables of millions of rows, packed in memory: written once, then gone through a batch at a time."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

ROWS = 1024  # of a batch: what is unpacked at a time
CODEC = pa.Codec("zstd", 1)


class PackedTable:
    """Batches of rows, each compressed: photographs of a collection take some 10 bytes a row, digests what they are long.

    Args:
        schema: of every batch.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.schema, self.num_rows = schema, 0
        self._packed: list[tuple[int, bytes]] = []  # bytes before compression, and after

    def append(self, batch: pa.RecordBatch) -> None:
        """Add rows at the end."""
        if batch.num_rows:
            plain = batch.serialize()
            self._packed.append((plain.size, CODEC.compress(plain, asbytes=True)))
            self.num_rows += batch.num_rows

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, as they were added."""
        for size, packed in self._packed:
            yield pa.ipc.read_record_batch(CODEC.decompress(packed, size), self.schema)

    def columns(self, *names: str) -> Iterator[tuple[Any, ...]]:
        """These columns of every row, as Python's values."""
        for batch in self.batches():
            yield from zip(*(batch[name].to_pylist() for name in names), strict=True)

    def column(self, name: str) -> Iterator[Any]:
        """One column of every row, as Python's values."""
        return (value for (value,) in self.columns(name))

    def unique(self, name: str) -> set[Any]:
        """The different values of a column."""
        return set(chain.from_iterable(batch[name].unique().to_pylist() for batch in self.batches()))

    def mapped(self, change: Callable[[pa.RecordBatch], pa.RecordBatch]) -> Self:
        """Another such table, of what `change` makes of each batch; a batch that it gives back itself is not packed again."""
        made = self._empty()
        for (size, packed), batch in zip(self._packed, self.batches(), strict=True):
            changed = change(batch)
            if changed is batch:
                made._packed.append((size, packed))
                made.num_rows += batch.num_rows
            else:
                made.append(changed)
        return made

    def filtered(self, stays: npt.NDArray[np.bool_]) -> Self:
        """The rows that stay.

        Args:
            stays: (N,).
        """
        first = 0

        def those(batch: pa.RecordBatch) -> pa.RecordBatch:
            nonlocal first
            own = stays[first : first + batch.num_rows]
            first += batch.num_rows
            return batch if own.all() else batch.filter(pa.array(own))

        return self.mapped(those)

    def joined(self, others: Iterable[Self]) -> Self:
        """This table's rows and behind them those of others; nothing is unpacked."""
        made = self._empty()
        for table in (self, *others):
            made._packed += table._packed
            made.num_rows += table.num_rows
        return made

    def table(self) -> pa.Table:
        """All rows unpacked."""
        return pa.Table.from_batches(self.batches(), self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PackedTable) and bool(self.table().equals(other.table()))

    __hash__ = None  # type: ignore[assignment]

    def _empty(self) -> Self:
        made = object.__new__(type(self))
        PackedTable.__init__(made, self.schema)
        return made


def packed_table(table: pa.Table) -> PackedTable:
    """A table, packed."""
    packed = PackedTable(table.schema)
    for batch in table.to_batches(ROWS):
        packed.append(batch)
    return packed


def with_column(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    """The batch with other values in a column."""
    place = batch.schema.get_field_index(name)
    return batch.set_column(place, batch.schema.field(place), values.cast(batch.schema.field(place).type))


def repeated(tables: Sequence[PackedTable], name: str) -> set[str]:
    """The texts that come more than once in a column of these tables; 8 bytes a row are held, no text."""
    hashes = np.fromiter(map(hash, _texts(tables, name)), np.int64, sum(table.num_rows for table in tables))
    hashes.sort()
    suspected = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
    if not suspected:
        return set()
    counts = Counter(text for text in _texts(tables, name) if hash(text) in suspected)
    return {text for text, count in counts.items() if count > 1}


def _texts(tables: Sequence[PackedTable], name: str) -> Iterator[str]:
    return chain.from_iterable(table.column(name) for table in tables)
