"""What is asked of the files that shards are, wherever they lie."""

from collections.abc import Sequence
from typing import BinaryIO, NamedTuple, Protocol

from pipeline_lib.core.errors import DataError

MISSING = "A shard is missing; rerun the stage that writes it."


class Part(NamedTuple):
    """Bytes start to end of a shard, and the member that they hold, for messages."""

    shard: str
    start: int
    end: int
    name: str


class Files(Protocol):
    """The shards of one folder: LocalFiles or RemoteFiles."""

    def where(self, shard: str) -> str: ...

    def read(self, parts: Sequence[Part]) -> list[bytes]: ...

    def shards(self) -> list[str]: ...

    def open(self, shard: str) -> BinaryIO: ...


def too_short(files: Files, part: Part, num_bytes: int) -> DataError:
    """The error that says so."""
    return DataError(
        "A shard ends before a member that its index names; rerun the stage that writes it.",
        got=f"{num_bytes} bytes",
        allowed=f"at least {part.end}",
        where=f"{files.where(part.shard)}, {part.name}",
    )
