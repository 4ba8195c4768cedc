"""Shards read two ways: any member at once through the index, or all samples in file order through WebDataset."""

import os
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.texts import Texts

if TYPE_CHECKING:
    import pyarrow as pa

MAX_OPEN_SHARDS = 256  # below the usual limit of 1024 descriptors a process, with room for everything else
NAME_BYTES = 100  # the name field at the start of a tar header, which stands right before a member's bytes
HEADER_BYTES = 512


class _OpenShard:
    """A read-only descriptor that is closed with the last reference to it."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


class ShardReader:
    """Random access to the members that the rows of a shard index name.

    Safe in threads and in DataLoader workers: reads are positional (os.pread), so a descriptor inherited by a fork has no
    position to share, and a pickled reader carries no descriptors but opens its own. At most MAX_OPEN_SHARDS are open, the least
    recently used goes first.

    Args:
        folder: where the shards lie.
        index: rows of schemas.shard_index.SHARD_INDEX, in any order and choice; row i is what read(i) returns.
    """

    def __init__(self, folder: Path, index: "pa.Table") -> None:
        self._folder = folder
        encoded = index.column("shard").combine_chunks().dictionary_encode()
        self._shards: list[str] = encoded.dictionary.to_pylist()
        self._shard_of_row = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32)
        self._offsets = index.column("offset").to_numpy().astype(np.int64)
        self._sizes = index.column("size").to_numpy().astype(np.int64)
        self._keys, self._members = Texts(index.column("key")), Texts(index.column("member"))
        self._open: OrderedDict[int, _OpenShard] = OrderedDict()

    def __len__(self) -> int:
        return len(self._keys)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_open": OrderedDict()}

    def name(self, i: int) -> str:
        """Row i's `<key>.<member>`."""
        return f"{self._keys[i]}.{self._members[i]}"

    def read(self, i: int) -> bytes:
        """The bytes of row i's member.

        Raises:
            DataError: the shard is missing or unreadable, ends before the member does, or holds another member there
                (an index of another shard set); names shard and key.
            IndexError: there is no row i.
        """
        name = self.name(i)
        shard = int(self._shard_of_row[i])
        offset, size = int(self._offsets[i]), int(self._sizes[i])
        path = self._folder / self._shards[shard]
        where = f"{path}, {name}"
        if offset < HEADER_BYTES or size < 0:
            raise DataError(
                "A shard index holds an impossible place.", got=f"offset {offset}, size {size}", where=where
            )
        try:
            opened = self._opened(shard, path)  # held: another thread may drop it from the open ones meanwhile
            num_bytes = os.fstat(opened.descriptor).st_size
            if offset + size > num_bytes:  # before reading: a broken index must not make us ask for terabytes
                raise DataError(
                    "A shard ends before a member that its index names; rerun the stage that writes it.",
                    got=f"{num_bytes} bytes",
                    allowed=f"at least {offset + size}",
                    where=where,
                )
            block = os.pread(opened.descriptor, HEADER_BYTES + size, offset - HEADER_BYTES)
        except FileNotFoundError:
            raise DataError("A shard is missing; rerun the stage that writes it.", where=where) from None
        except OSError as error:
            raise DataError("A shard cannot be read.", got=error, where=where) from error
        found = block[:NAME_BYTES].rstrip(b"\0")
        if found != name.encode()[:NAME_BYTES]:
            raise DataError("A shard holds another member than its index says.", got=found, allowed=name, where=where)
        return block[HEADER_BYTES:]

    def _opened(self, shard: int, path: Path) -> _OpenShard:
        opened = self._open.pop(shard, None) or _OpenShard(path)
        self._open[shard] = opened
        if len(self._open) > MAX_OPEN_SHARDS:
            self._open.popitem(last=False)
        return opened


def stream_shards(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield every sample of a folder's `*.tar`, in name and file order, as WebDataset groups them.

    A sample is a dictionary: "__key__" and "__url__" (text), and one entry of raw bytes a member ("png" or "jpg",
    "json", "patch.png"). WebDataset's decoders stay off (some unpickle), its URL opener is not used (some URLs run commands),
    nothing is written to disk, and a tar's stated sizes are checked first (index.scan_shard).

    Raises:
        DataError: the folder is missing, or a shard is damaged or holds anything but `<key>.<member>` files; names it.
    """
    from webdataset.tariterators import group_by_keys, tar_file_expander

    from pipeline_lib.data.shards.index import scan_shard

    if not folder.is_dir():
        raise DataError("A folder of shards is missing; run the stage that writes it.", where=folder)
    for path in sorted(folder.glob("*.tar")):
        scan_shard(path)
        with path.open("rb") as stream:
            yield from group_by_keys(tar_file_expander([{"url": str(path), "stream": stream}]))
