"""A pack: photographs that cannot be read where they lie, one behind the other in one file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pipeline_lib.core.files import atomic_file


class Pack:
    """Photographs are added at the end of a file, whose bytes are then read by range (photos.place)."""

    def __init__(self, path: Path, handle: IO[bytes] | None) -> None:
        """
        Args:
            path: of the file, as the photographs' records shall have it.
            handle: None to write nothing, where only the places are asked for.
        """
        self.path, self._handle, self._size = path, handle, 0

    def add(self, content: bytes) -> tuple[int, int]:
        """Offset and length of the photograph, which is now in the pack."""
        if self._handle is not None:
            self._handle.write(content)
        offset, self._size = self._size, self._size + len(content)
        return offset, len(content)


@contextmanager
def open_pack(path: Path, write: bool = True) -> Iterator[Pack]:
    """A pack, which takes its name only if the block ends without an error; without `write` there is no file."""
    if not write:
        yield Pack(path, None)
        return
    with atomic_file(path) as partial, partial.open("wb") as handle:
        yield Pack(path, handle)
