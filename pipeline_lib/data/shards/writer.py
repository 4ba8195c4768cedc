"""Shards: plain tars of a fixed number of samples whose bytes depend on nothing but what is written."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 512  # a tar pads every member to full blocks
KEY = re.compile(
    r"[A-Za-z0-9_+-]+"
)  # no dot: WebDataset ends the key at the first one; no slash: nothing leaves the folder
MEMBER = re.compile(
    r"[a-z0-9]+(\.[a-z0-9]+)*"
)  # lower case, as WebDataset makes it; no leading "_", which marks its metadata


class ShardWriter:
    """Write samples to `<prefix>-NNNNNN.tar` below `folder` and keep the index that finds them again.

    The tars are written by webdataset.TarWriter with members sorted by name and time, owner and mode fixed, so that the
    same samples in the same order give the same bytes. A shard ends after `images_per_shard` samples. The folder is not
    made whole-or-absent here: hand in one of core.files.atomic_dir. Used as a context manager.

    Args:
        folder: an existing folder without shards of this prefix.
        prefix: how the file names begin.
        images_per_shard: samples a shard, at least 1.
    """

    def __init__(self, folder: Path, prefix: str, images_per_shard: int) -> None:
        self._folder, self._prefix, self._images_per_shard = folder, prefix, images_per_shard
        self._num_written = 0
        self._keys: set[str] = set()
        self._rows: list[dict[str, object]] = []  # of the open shard
        self._indexes: list[pa.Table] = []  # of the closed ones: a table takes a tenth of the memory of its rows
        self._shard_name = ""
        self._file: BinaryIO | None = None
        self._tar: Any = None

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_shard()

    def write(
        self,
        key: str,
        members: Mapping[str, bytes],
        *,
        image_id: str,
        identity: str,
        split: str,
        landmarks: npt.NDArray[np.float32],
        score: float,
    ) -> None:
        """Append one sample.

        Args:
            key: WebDataset key, of A-Z a-z 0-9 _ + -, once in a set.
            members: what follows the key's dot ("png", "patch.png") -> the member's bytes.
            image_id, identity, split: of the photograph the sample comes from.
            landmarks: float32 (5, 2), x y, pixels of the aligned 112x112 image.
            score: the detector's.

        Raises:
            DataError: a key that stands twice, a key or member name that WebDataset would read differently, no members.
        """
        _check_names(key, members, self._folder)
        if key in self._keys:
            raise DataError("A sample key stands twice in one shard set.", got=key, where=self._folder)
        if self._num_written % self._images_per_shard == 0:
            self._open_shard(self._num_written // self._images_per_shard)
        self._keys.add(key)
        self._num_written += 1
        flat_landmarks = np.asarray(landmarks, np.float32).reshape(10)
        for member in sorted(members):
            self._append(key, member, members[member])
            size = len(members[member])
            self._rows.append(
                {
                    "key": key,
                    "member": member,
                    "shard": self._shard_name,
                    "offset": self._tar.tarstream.offset - -(-size // BLOCK_BYTES) * BLOCK_BYTES,
                    "size": size,
                    "image_id": image_id,
                    "identity": identity,
                    "split": split,
                    "landmarks": flat_landmarks,
                    "score": score,
                }
            )
        self._tar.tarstream.members.clear()  # tarfile remembers every header: memory would grow with the shard

    def index(self) -> "pa.Table":
        """One row a member, in the order written (schemas.shard_index.SHARD_INDEX); whole once the writer is closed."""
        import pyarrow as pa

        from pipeline_lib.schemas.shard_index import SHARD_INDEX

        return pa.concat_tables([SHARD_INDEX.empty_table(), *self._indexes]).combine_chunks()

    def _append(self, key: str, member: str, data: bytes) -> None:
        try:
            self._tar.write({"__key__": key, member: data})
        except OSError as error:
            raise DataError("A shard cannot be written.", got=error, where=self._folder / self._shard_name) from error

    def _open_shard(self, number: int) -> None:
        from webdataset import TarWriter

        self._close_shard()
        self._shard_name = f"{self._prefix}-{number:06d}.tar"
        path = self._folder / self._shard_name
        try:
            self._file = path.open("xb")
        except OSError as error:
            raise DataError("A shard cannot be made.", got=error, allowed="a new file", where=path) from error
        self._tar = TarWriter(self._file, encoder=False, user="", group="", mode=0o444, mtime=0)

    def _close_shard(self) -> None:
        from pipeline_lib.core.tables import table_from_rows
        from pipeline_lib.schemas.shard_index import SHARD_INDEX

        if self._file is None:
            return
        file, tar, self._file, self._tar = self._file, self._tar, None, None
        try:
            with file:
                tar.close()
        except OSError as error:
            raise DataError("A shard cannot be written.", got=error, where=self._folder / self._shard_name) from error
        self._indexes.append(table_from_rows(self._rows, SHARD_INDEX))
        self._rows = []


def _check_names(key: str, members: Mapping[str, bytes], folder: Path) -> None:
    if not KEY.fullmatch(key):
        raise DataError("A sample key is no WebDataset key.", got=repr(key), allowed=KEY.pattern, where=folder)
    if not members:
        raise DataError("A sample has no members.", got=key, where=folder)
    for member in members:
        if not MEMBER.fullmatch(member):
            raise DataError(
                "A member name would be read back differently.", got=repr(member), allowed=MEMBER.pattern, where=key
            )
