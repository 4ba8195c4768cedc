"""A RecordIO file of any length: where many of its records' contents lie, found with few reads and nothing kept."""

import os
import struct
from contextlib import ExitStack
from typing import IO, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.photos import recordio
from pipeline_lib.data.sources.shared.files import File, open_file

HEAD = np.dtype(
    [("magic", "S4"), ("part", "<u4"), ("flag", "<u4"), ("label", "<f4"), ("ids", "<u8", 2), ("labels", "<f4")]
)
HEAD_BYTES = recordio.PART.size + recordio.HEADER.size
BLOCK_BYTES = 1 << 20  # what is read at a time
FEW = 16  # records in a block, which are not worth reading all of it


class Head(NamedTuple):
    """Where images lie, and their first labels: int64, int64 (bytes) and float32, (N,) each.

    An image of several parts lies from its record's begin to the end of its last part (photos.place).
    """

    start: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    label: npt.NDArray[np.float32]


class RecordFile:
    """An open .rec, a file or a URL; what is read of it is a block or less."""

    def __init__(self, path: File) -> None:
        self.path, self._stack = path, ExitStack()

    def __enter__(self) -> Self:
        self._handle: IO[bytes] = self._stack.enter_context(open_file(self.path))
        self._size = self._handle.seek(0, os.SEEK_END)
        if not self._size:
            self._stack.close()
            raise DataError("A RecordIO file is empty.", where=self.path)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, place: slice) -> bytes:
        self._handle.seek(place.start)
        return self._handle.read(max(0, place.stop - place.start))

    def heads(self, keys: npt.NDArray[np.int64], offsets: npt.NDArray[np.int64]) -> Head:
        """Of records with images: where these lie.

        Args:
            keys: for messages, (N,).
            offsets: where the records begin, (N,).

        Raises:
            DataError: no record begins there, or it is damaged.
        """
        found = self._heads(offsets)
        length = (found["part"] & ((1 << recordio.LENGTH_BITS) - 1)).astype(np.int64)
        flag = found["flag"].astype(np.int64)
        header = recordio.HEADER.size + 4 * flag
        is_plain = (found["magic"] == recordio.MAGIC) & (found["part"] >> recordio.LENGTH_BITS == recordio.WHOLE)
        is_plain &= (flag <= recordio.MAX_LABELS) & (header <= length)
        is_plain &= offsets + recordio.PART.size + length <= self._size
        start, length = offsets + recordio.PART.size + header, length - header
        label = np.where(flag > 0, found["labels"], found["label"])
        for row in np.flatnonzero(~is_plain).tolist():
            start[row], length[row], label[row] = self._long_record(int(keys[row]), int(offsets[row]))
        return Head(start, length, label)

    def record(self, key: int, offset: int) -> tuple[tuple[float, ...], int]:
        """A record's labels, and the bytes of its content. Raises as heads."""
        _, content = self._content(key, offset)
        return content.labels, content.length

    def damage(self, what: str, key: int) -> DataError:
        """An error that names a record."""
        return DataError(
            "A RecordIO file and its index do not go together, or one is damaged.",
            got=f"record {key} {what}",
            where=self.path,
        )

    def _heads(self, offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.void]:
        """The first bytes of records, HEAD (N,); zeros behind the end of the file."""
        found = np.zeros((len(offsets), HEAD.itemsize), np.uint8)
        first = 0
        while first < len(offsets):
            at = int(offsets[first])
            near = (offsets[first:] >= at) & (offsets[first:] + HEAD.itemsize <= at + BLOCK_BYTES)
            last = first + (len(near) if near.all() else int(near.argmin()))
            if last - first < FEW:
                last = first + 1
            own = offsets[first:last] - at
            end = int(own.max()) + HEAD.itemsize
            block = np.frombuffer(self[at : at + end].ljust(end, b"\0"), np.uint8)
            found[first:last] = block[own[:, None] + np.arange(HEAD.itemsize)]
            first = last
        return found.view(HEAD)[:, 0]

    def _long_record(self, key: int, offset: int) -> tuple[int, int, float]:
        spans, content = self._content(key, offset)
        if len(spans) == 1:
            first, length = spans[0]
            return first + content.start, length - content.start, content.labels[0]
        last, length = spans[-1]
        return offset, last + length - offset, content.labels[0]

    def _content(self, key: int, offset: int) -> tuple[list[tuple[int, int]], recordio.Record]:
        """Where a record's parts lie, and what they are together."""
        try:
            spans = [(first, length) for _, first, length in recordio.parts(self, offset)]
            head, wanted = b"", recordio.HEADER.size + 4 * recordio.MAX_LABELS
            for first, length in spans:
                head += (recordio.MAGIC if head else b"") + self[first : first + min(length, wanted)]
                if len(head) >= wanted:
                    break
            found = recordio.record(head[:wanted])
            whole = sum(length for _, length in spans) + len(recordio.MAGIC) * (len(spans) - 1)
            return spans, recordio.Record(found.labels, found.start, whole - found.start)
        except DataError as error:
            raise self.damage(str(error).replace("\n", "; "), key) from error


def identity_number(label: float) -> str:
    """An identity's number as its label says it; a label that is no whole number as its bytes in hex."""
    return str(int(label)) if label.is_integer() else struct.pack("<f", label).hex()
