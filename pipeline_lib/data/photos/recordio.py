"""MXNet's RecordIO, as InsightFace packs faces (METHODS, section 1): records, their parts and their headers, little-endian."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from pipeline_lib.core.errors import DataError

MAGIC = struct.pack("<I", 0xCED7230A)
WHOLE, FIRST, MIDDLE, LAST = range(4)  # cflag: what of a payload a part is
LENGTH_BITS = 29
HEADER = struct.Struct("<IfQQ")  # flag, label, id, id2
PART = struct.Struct("<4sI")  # magic, cflag << 29 | length
MAX_PARTS = 1024  # a picture has the magic word once in some gigabytes
MAX_LABELS = 1024  # a count beyond it is damage, not a label


@dataclass(frozen=True)
class Record:
    """One record's payload, taken apart.

    Attributes:
        labels: one, or as many as the header's flag says.
        start, length: of the content (a JPEG, mostly) in the payload, bytes.
    """

    labels: tuple[float, ...]
    start: int
    length: int


class Bytes(Protocol):
    """What is read as bytes are: bytes, or a file of which a slice is read when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: slice, /) -> bytes: ...


def parts(data: Bytes, start: int = 0) -> Iterator[tuple[int, int, int]]:
    """(cflag, start, length) of the parts of the record that begins at `start`, each padded to 4 bytes.

    Raises:
        DataError: no magic word, a length beyond the data, or cflags in another order than 0 or 1, 2, ..., 3.
    """
    at, expected = start, (WHOLE, FIRST)
    for _ in range(MAX_PARTS):
        if at + PART.size > len(data):
            raise _damage("it ends within a record's head", at)
        magic, head = PART.unpack(data[at : at + PART.size])
        cflag, length = head >> LENGTH_BITS, head & ((1 << LENGTH_BITS) - 1)
        if magic != MAGIC:
            raise _damage("no record begins here", at)
        if cflag not in expected:
            raise _damage(f"a part has flag {cflag} where {' or '.join(map(str, expected))} is due", at)
        if at + PART.size + length > len(data):
            raise _damage(f"a part of {length} bytes is longer than what is left", at)
        yield cflag, at + PART.size, length
        if cflag in (WHOLE, LAST):
            return
        at, expected = at + PART.size + -(-length // 4) * 4, (MIDDLE, LAST)
    raise _damage(f"a record has more than {MAX_PARTS} parts", start)


def payload(data: Bytes, start: int = 0) -> bytes:
    """The payload of the record that begins at `start`: the magic word is put back between parts. Raises as parts."""
    return MAGIC.join(data[first : first + length] for _, first, length in parts(data, start))


def record(content: bytes) -> Record:
    """Take a payload, or the first bytes of one, apart; the length of its content is then what is here of it.

    Raises:
        DataError: it is shorter than its header says, or has more labels than MAX_LABELS.
    """
    if len(content) < HEADER.size:
        raise DataError("A record is shorter than its header.", got=f"{len(content)} bytes", allowed=HEADER.size)
    flag, label, _, _ = HEADER.unpack_from(content)
    if flag > MAX_LABELS or HEADER.size + 4 * flag > len(content):
        raise DataError("A record has more labels than bytes for them.", got=flag, allowed=f"at most {MAX_LABELS}")
    labels = struct.unpack_from(f"<{flag}f", content, HEADER.size) if flag else (label,)
    start = HEADER.size + 4 * flag
    return Record(tuple(labels), start, len(content) - start)


def pack(labels: tuple[float, ...], key: int, content: bytes) -> bytes:
    """A record of some content, padded, in as many parts as it takes; the inverse of payload and record.

    Args:
        labels: one number stands in the header, several behind it.
        key: the header's id.
    """
    head = HEADER.pack(0, labels[0], key, 0) if len(labels) == 1 else HEADER.pack(len(labels), 0.0, key, 0)
    more = b"" if len(labels) == 1 else struct.pack(f"<{len(labels)}f", *labels)
    pieces = _split(head + more + content)
    flags = [WHOLE] if len(pieces) == 1 else [FIRST, *[MIDDLE] * (len(pieces) - 2), LAST]
    return b"".join(
        PART.pack(MAGIC, flag << LENGTH_BITS | len(piece)) + piece + bytes(-len(piece) % 4)
        for flag, piece in zip(flags, pieces, strict=True)
    )


def _split(content: bytes) -> list[bytes]:
    """Cut at each magic word that lies on a multiple of 4 bytes, by which a reader could take it for a record's begin."""
    pieces, begin, at = [], 0, content.find(MAGIC)
    while at >= 0:
        if at % 4 == 0:
            pieces.append(content[begin:at])
            begin = at + len(MAGIC)
            at = content.find(MAGIC, begin)
        else:
            at = content.find(MAGIC, at + 1)
    return [*pieces, content[begin:]]


def _damage(what: str, at: int) -> DataError:
    return DataError("A RecordIO file is damaged.", got=f"{what} (byte {at})")
