"""Shards in a folder of this machine, read at any place."""

import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.shards.part import MISSING, Part, too_short

MAX_OPEN_SHARDS = 256  # below the usual limit of 1024 descriptors a process, with room for everything else


class _OpenShard:
    """A read-only descriptor that is closed with the last reference to it, and the file's size."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.num_bytes = os.fstat(self.descriptor).st_size

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


class LocalFiles:
    """Parts of the files of `folder`.

    Safe in threads and forks: reads are positional (os.pread), so a descriptor inherited by a fork has no position to share, and
    a pickled copy carries no descriptors but opens its own. At most MAX_OPEN_SHARDS are open, the least recently used goes
    first.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: OrderedDict[str, _OpenShard] = OrderedDict()

    def __getstate__(self) -> dict[str, object]:
        return {"_folder": self._folder, "_open": OrderedDict()}

    def where(self, shard: str) -> str:
        """A shard's place, for messages."""
        return str(self._folder / shard)

    def read(self, parts: Sequence[Part]) -> list[bytes]:
        """The bytes of each part.

        Raises:
            DataError: a shard is missing or unreadable, or ends before the part does; names shard and member.
        """
        return [self._read(part) for part in parts]

    def shards(self) -> list[str]:
        """The names of all `*.tar` in the folder, sorted.

        Raises:
            DataError: there is no such folder.
        """
        if not self._folder.is_dir():
            raise DataError("A folder of shards is missing; run the stage that writes it.", where=self._folder)
        return sorted(path.name for path in self._folder.glob("*.tar"))

    def open(self, shard: str) -> BinaryIO:
        """A shard as a file."""
        return (self._folder / shard).open("rb")

    def _read(self, part: Part) -> bytes:
        try:
            opened = self._opened(part.shard)  # held: another thread may drop it from the open ones meanwhile
            if part.end > opened.num_bytes:  # before reading: a broken index must not make us ask for terabytes
                raise too_short(self, part, opened.num_bytes)
            block = os.pread(opened.descriptor, part.end - part.start, part.start)
        except FileNotFoundError:
            raise DataError(MISSING, where=f"{self.where(part.shard)}, {part.name}") from None
        except OSError as error:
            raise DataError(
                "A shard cannot be read.", got=error, where=f"{self.where(part.shard)}, {part.name}"
            ) from error
        if len(block) < part.end - part.start:  # it was cut while it was open
            raise too_short(self, part, part.start + len(block))
        return block

    def _opened(self, shard: str) -> _OpenShard:
        opened = self._open.pop(shard, None) or _OpenShard(self._folder / shard)
        self._open[shard] = opened
        if len(self._open) > MAX_OPEN_SHARDS:
            self._open.popitem(last=False)
        return opened
