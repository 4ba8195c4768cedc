"""What a tar really holds, read from its headers alone; nothing is unpacked."""

import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.shards.part import MISSING
from pipeline_lib.data.shards.writer import BLOCK_BYTES, KEY, MEMBER


@dataclass(frozen=True)
class Span:
    """One member: its key, its name after the key's dot, and where its `size` bytes begin in the tar."""

    key: str
    member: str
    offset: int
    size: int


def scan_shard(path: Path) -> list[Span]:
    """List the members of one shard in file order, and refuse a tar that a shard writer cannot have made.

    A tar from elsewhere may hold links, devices, sparse files of any stated size, names that leave the folder, or be a
    compressed bomb. All of these are refused here, before a reader trusts a stated size.

    Raises:
        DataError: the file is missing, no plain tar, truncated (also at a member's border: the two closing blocks are
            looked for), or holds anything but regular files `<key>.<member>`, each once.
    """
    try:
        with path.open("rb") as stream:
            return scan_stream(stream, str(path))
    except FileNotFoundError:
        raise DataError(MISSING, where=path) from None


def scan_stream(stream: BinaryIO, where: str) -> list[Span]:
    """As scan_shard, of an open file, which is read to its end."""
    try:
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            spans, names = [], set()
            for info in tar:
                span = _checked_span(info, where)
                if info.name in names:
                    raise DataError("A shard holds a member twice.", got=info.name, where=where)
                names.add(info.name)
                spans.append(span)
        end = spans[-1].offset + -(-spans[-1].size // BLOCK_BYTES) * BLOCK_BYTES if spans else 0
        stream.seek(end)
        closing = stream.read(2 * BLOCK_BYTES)
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise DataError(
            "A shard is truncated or no plain tar; rerun the stage that writes it.", got=error, where=where
        ) from error
    if closing != bytes(2 * BLOCK_BYTES):
        raise DataError(
            "A shard ends without a tar's closing blocks: it is truncated.", got=f"{end} bytes read", where=where
        )
    return spans


def _checked_span(info: tarfile.TarInfo, where: str) -> Span:
    key, _, member = info.name.partition(".")
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.issparse() or info.size < 0:
        raise DataError("A shard holds something that is no plain file.", got=repr(info.name), where=where)
    if not KEY.fullmatch(key) or not MEMBER.fullmatch(member):
        raise DataError(
            "A shard holds a member that is no <key>.<member>.",
            got=repr(info.name),
            allowed=f"{KEY.pattern} . {MEMBER.pattern}",
            where=where,
        )
    return Span(key, member, info.offset_data, info.size)
