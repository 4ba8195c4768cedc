"""Columns of text of a million rows: sequences that stay in Arrow's memory."""

from collections.abc import Iterable, Iterator, Sequence
from operator import eq
from typing import overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

MISSING = -1
AT_ONCE = 65536  # texts that are Python's at a time while a column is gone through


class Texts(Sequence[str]):
    """A column as a read-only sequence of str (None where it is null): a short text takes some 20 bytes, where a list's
    takes 70. It is an Arrow array to Arrow's own functions.

    Args:
        column: of strings.
    """

    def __init__(self, column: "pa.Array | pa.ChunkedArray") -> None:
        self.column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column

    def __len__(self) -> int:
        return len(self.column)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> "Texts": ...

    def __getitem__(self, place: "int | slice") -> "str | Texts":
        if isinstance(place, slice):
            return self.take(np.arange(len(self))[place])
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        text: str = self.column[place].as_py()
        return text

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), AT_ONCE):
            yield from self.column.slice(first, AT_ONCE).to_pylist()

    def __contains__(self, text: object) -> bool:
        return bool(pc.index(self.column, pa.scalar(text, pa.string())).as_py() != MISSING)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Texts({self.column.slice(0, 5).to_pylist()}, of {len(self)})"

    def __arrow_array__(self, type: "pa.DataType | None" = None) -> "pa.Array":
        return self.column if type is None else self.column.cast(type)

    def take(self, rows: npt.ArrayLike) -> "Texts":
        """The texts of `rows`, int64 (n,) from 0."""
        return Texts(self.column.take(pa.array(np.asarray(rows, np.int64))))

    def is_in(self, texts: Iterable[str]) -> npt.NDArray[np.bool_]:
        """Which of these are among `texts`: bool (N,)."""
        found: npt.NDArray[np.bool_] = pc.is_in(self.column, value_set=as_texts(texts).column).to_numpy(
            zero_copy_only=False
        )
        return found

    def rows(self, texts: Iterable[str]) -> npt.NDArray[np.int64]:
        """Where each of `texts` stands first, int64; MISSING where nowhere. It goes through the whole column: ask once."""
        found = pc.index_in(as_texts(texts).column, value_set=self.column)
        return np.asarray(pc.fill_null(found, MISSING).to_numpy(zero_copy_only=False), np.int64)

    def numbered(self) -> tuple[npt.NDArray[np.int64], list[str]]:
        """Each text's number among the different ones, int64 (N,), and these, sorted."""
        encoded = self.column.dictionary_encode()
        different = encoded.dictionary.to_pylist()
        order = sorted(range(len(different)), key=different.__getitem__)
        number = np.empty(len(order), np.int64)
        number[order] = np.arange(len(order))
        return number[encoded.indices.to_numpy(zero_copy_only=False)], [different[place] for place in order]


def as_texts(texts: Iterable[str]) -> Texts:
    """Any texts as a column."""
    return texts if isinstance(texts, Texts) else Texts(pa.array(texts, pa.string()))
