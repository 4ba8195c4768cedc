"""Stored images as pixels, and as many of them kept in memory as may be."""

import threading
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.shards.images import decode_image

Image = npt.NDArray[np.uint8]


class Reader(Protocol):
    """Anything that holds encoded images by number; shards.reader.ShardReader is one."""

    def __len__(self) -> int: ...

    def read_many(self, rows: Sequence[int]) -> list[bytes]: ...

    def name(self, i: int) -> str: ...


class DecodedImages:
    """The images of readers as pixels; the first ones that are asked for are kept until `max_bytes` are full.

    None is dropped for another: where each comes once an epoch, the one that was used last is the one that is needed last. Safe
    in threads.

    Args:
        readers: where the images are.
        side_px: of every image.
        max_bytes: of kept pixels; 0 keeps nothing.
    """

    def __init__(self, readers: Sequence[Reader], side_px: int, max_bytes: int = 0) -> None:
        self._readers, self._shape = readers, (side_px, side_px, 3)
        self._room = max_bytes // (3 * side_px**2)
        self._kept: dict[tuple[int, int], Image] = {}
        self._lock = threading.Lock()

    def get(self, places: npt.NDArray[np.int64]) -> list[Image]:
        """The images at `places`, int64 (B,2), reader number and row: uint8 RGB (side,side,3), not to be written to.

        Raises:
            DataError: an image is unreadable or has another size; names it.
        """
        wanted = [(int(reader), int(row)) for reader, row in places]
        found = {place: image for place in wanted if (image := self._kept.get(place)) is not None}
        for number, reader in enumerate(self._readers):
            rows = list(dict.fromkeys(row for at, row in wanted if at == number and (at, row) not in found))
            for row, data in zip(rows, reader.read_many(rows) if rows else (), strict=True):
                found[number, row] = self._decoded(data, reader, row)
        if len(self._kept) < self._room:
            with self._lock:
                for place in wanted[: self._room - len(self._kept)]:
                    self._kept.setdefault(place, found[place])
        return [found[place] for place in wanted]

    def _decoded(self, data: bytes, reader: Reader, row: int) -> Image:
        try:
            image = decode_image(data)
        except DataError as error:
            raise DataError("A training image cannot be decoded.", got=error, where=reader.name(row)) from error
        if image.shape != self._shape:
            allowed, where = f"{self._shape[0]}x{self._shape[1]}", reader.name(row)
            raise DataError("A training image has another size.", got=image.shape, allowed=allowed, where=where)
        return image
