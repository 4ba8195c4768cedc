"""Shards read two ways: any member at once through the index, or all samples in file order through WebDataset."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import numpy as np

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.texts import Texts
from pipeline_lib.data.shards.local_files import LocalFiles
from pipeline_lib.data.shards.part import Files, Part
from pipeline_lib.data.shards.remote_files import RemoteFiles

if TYPE_CHECKING:
    import pyarrow as pa

NAME_BYTES = 100  # the name field at the start of a tar header, which stands right before a member's bytes
HEADER_BYTES = 512


class ShardReader:
    """Random access to the members that the rows of a shard index name.

    Safe in threads; a copy that is pickled opens its own files.

    Args:
        place: where the shards lie: a folder, or a URL of s3, gs, http, https or file.
        index: rows of schemas.shard_index.SHARD_INDEX, in any order and choice; row i is what read(i) returns.

    Raises:
        DataError: such a URL cannot be read (RemoteFiles).
    """

    def __init__(self, place: Path | str, index: "pa.Table") -> None:
        self._files = _files(place)
        encoded = index.column("shard").combine_chunks().dictionary_encode()
        self._shards: list[str] = encoded.dictionary.to_pylist()
        self._shard_of_row = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32)
        self._offsets = index.column("offset").to_numpy().astype(np.int64)
        self._sizes = index.column("size").to_numpy().astype(np.int64)
        self._keys, self._members = Texts(index.column("key")), Texts(index.column("member"))

    def __len__(self) -> int:
        return len(self._keys)

    def name(self, i: int) -> str:
        """Row i's `<key>.<member>`."""
        return f"{self._keys[i]}.{self._members[i]}"

    def read(self, i: int) -> bytes:
        """The bytes of row i's member; see read_many."""
        return self.read_many([i])[0]

    def read_many(self, rows: Sequence[int]) -> list[bytes]:
        """The bytes of the rows' members; from a URL, fetched all at once.

        Raises:
            DataError: a shard is missing or unreadable, ends before the member does, or holds another member there
                (an index of another shard set); names shard and key.
            IndexError: there is no such row.
        """
        parts = [self._part(row) for row in rows]
        found = []
        for part, block in zip(parts, self._files.read(parts), strict=True):
            name = block[:NAME_BYTES].rstrip(b"\0")
            if name != part.name.encode()[:NAME_BYTES]:
                where = f"{self._files.where(part.shard)}, {part.name}"
                problem = "A shard holds another member than its index says."
                raise DataError(problem, got=name, allowed=part.name, where=where)
            found.append(block[HEADER_BYTES:])
        return found

    def _part(self, row: int) -> Part:
        """A member with its header."""
        name, shard = self.name(row), self._shards[self._shard_of_row[row]]
        offset, size = int(self._offsets[row]), int(self._sizes[row])
        if offset < HEADER_BYTES or size < 0:
            where = f"{self._files.where(shard)}, {name}"
            raise DataError(
                "A shard index holds an impossible place.", got=f"offset {offset}, size {size}", where=where
            )
        return Part(shard, offset - HEADER_BYTES, offset + size, name)


def stream_shards(place: Path | str) -> Iterator[dict[str, Any]]:
    """Yield every sample of all `*.tar` of a folder or URL, in name and file order, as WebDataset groups them.

    A sample is a dictionary: "__key__" and "__url__" (text), and one entry of raw bytes a member ("png" or "jpg",
    "json", "patch.png"). WebDataset's decoders stay off (some unpickle), its URL opener is not used (some URLs run commands),
    nothing is written to disk, and a tar's stated sizes are checked first (index.scan_stream): a remote shard is fetched twice.

    Raises:
        DataError: the folder is missing, or a shard is damaged or holds anything but `<key>.<member>` files; names it.
    """
    from webdataset.tariterators import group_by_keys, tar_file_expander

    from pipeline_lib.data.shards.index import scan_stream

    files = _files(place)
    for shard in files.shards():
        with files.open(shard) as stream:
            scan_stream(stream, files.where(shard))
            stream.seek(0)
            yield from group_by_keys(tar_file_expander([{"url": files.where(shard), "stream": stream}]))


def shards_place(folder: Path, copies: str | None) -> Path | str:
    """Where the shards of `folder` are read: there, or below the URL `copies`, by the last two parts of the folder's path.

    data/align/shards and s3://bucket/faces give s3://bucket/faces/align/shards.
    """
    return folder if copies is None else f"{copies.rstrip('/')}/{folder.parent.name}/{folder.name}"


def _files(place: Path | str) -> Files:
    if isinstance(place, Path):
        return LocalFiles(place)
    parsed = urlsplit(place)
    return LocalFiles(Path(unquote(parsed.path))) if parsed.scheme == "file" else RemoteFiles(place)
