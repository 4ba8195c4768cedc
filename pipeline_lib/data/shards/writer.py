"""Shards: plain tars of a number of samples whose bytes depend on nothing but what is written."""

import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 512  # a tar pads every member to full blocks
RECORD_BYTES = 10240  # and its end, two empty blocks, to full records
# No dot: WebDataset ends the key at the first one; no slash: nothing leaves the folder.
KEY = re.compile(r"[A-Za-z0-9_+-]+")
# Lower case, as WebDataset makes it; no leading "_", which marks its metadata.
MEMBER = re.compile(r"[a-z0-9]+(\.[a-z0-9]+)*")


class Piece(NamedTuple):
    """Some samples of a shard: a tar without its end, and their rows of the index, `offset` from the piece's first byte."""

    data: bytes
    index: "pa.Table"


class PieceWriter:
    """Samples as a piece of a shard, in memory.

    The bytes are those of webdataset.TarWriter (whose import brings torch into every worker's process) with members sorted by
    name and time, owner and mode fixed: the same samples in the same order give the same bytes.
    """

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._num_bytes = 0
        self._keys: set[str] = set()
        self._rows: list[dict[str, object]] = []

    def __len__(self) -> int:
        return len(self._keys)

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
            members: what follows the key's dot ("png", "patch.jpg") -> the member's bytes.
            image_id, identity, split: of the photograph the sample comes from.
            landmarks: float32 (5, 2), x y, pixels of the aligned 112x112 image.
            score: the detector's.

        Raises:
            DataError: a key that stands twice, a key or member name that WebDataset would read differently, no members.
        """
        _check_names(key, members)
        if key in self._keys:
            raise DataError("A sample key stands twice in one shard set.", got=key)
        self._keys.add(key)
        of_sample = {
            "image_id": image_id,
            "identity": identity,
            "split": split,
            "landmarks": np.asarray(landmarks, np.float32).reshape(10),
            "score": score,
        }
        for member in sorted(members):
            header, data = _header(f"{key}.{member}", len(members[member])), members[member]
            offset = self._num_bytes + len(header)
            padding = bytes(-len(data) % BLOCK_BYTES)
            self._blocks += [header, data, padding]
            self._num_bytes = offset + len(data) + len(padding)
            place = {"key": key, "member": member, "shard": "", "offset": offset, "size": len(data)}
            self._rows.append(place | of_sample)

    def piece(self) -> Piece:
        """What was written."""
        from pipeline_lib.core.tables import table_from_rows
        from pipeline_lib.schemas.shard_index import SHARD_INDEX

        return Piece(b"".join(self._blocks), table_from_rows(self._rows, SHARD_INDEX))


class Shard:
    """One tar made of pieces. Its bytes are those of all their samples written at once, wherever pieces begin and end.

    No file is held open between two pieces: a worker's threads write some dozens of shards each.

    Args:
        path: where it is written; a new file.
        name: what the index calls it.

    Raises:
        DataError: the file is there already, or cannot be made.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name, self._num_bytes = path, name, 0
        self._indices: list[pa.Table] = []
        try:
            path.open("xb").close()
        except OSError as error:
            raise DataError("A shard cannot be made.", got=error, allowed="a new file", where=path) from error

    def append(self, piece: Piece) -> None:
        """Append a piece; raises DataError where the disk refuses."""
        import pyarrow as pa
        import pyarrow.compute as pc

        index = piece.index
        offsets = pc.add(index["offset"], self._num_bytes)
        index = index.set_column(index.column_names.index("offset"), "offset", offsets)
        names = pa.repeat(pa.scalar(self._name), len(index))
        self._indices.append(index.set_column(index.column_names.index("shard"), "shard", names))
        self._write(piece.data)

    def close(self) -> "pa.Table":
        """Write the tar's end; returns its rows of the index (schemas.shard_index.SHARD_INDEX), in the order written.

        Raises:
            DataError: the disk refuses, or a key stands in two of the pieces.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        from pipeline_lib.schemas.shard_index import SHARD_INDEX

        end = self._num_bytes + 2 * BLOCK_BYTES
        self._write(bytes(-(-end // RECORD_BYTES) * RECORD_BYTES - self._num_bytes))
        index = pa.concat_tables([SHARD_INDEX.empty_table(), *self._indices]).combine_chunks()
        num_keys = sum(pc.count_distinct(part["key"]).as_py() for part in self._indices)
        if pc.count_distinct(index["key"]).as_py() < num_keys:
            raise DataError("A sample key stands twice in one shard set.", where=self._path)
        return index

    def _write(self, data: bytes) -> None:
        try:
            with self._path.open("ab") as file:
                file.write(data)
        except OSError as error:
            raise DataError("A shard cannot be written.", got=error, where=self._path) from error
        self._num_bytes += len(data)


class ShardWriter:
    """Write samples, one after the other, to `<prefix>-NNNNNN.tar` below `folder` and keep the index that finds them again.

    A shard is written once it has `images_per_shard` samples, which are in memory until then. The folder is not made
    whole-or-absent here: hand in one of core.files.atomic_dir. Used as a context manager.

    Args:
        folder: an existing folder without shards of this prefix.
        prefix: how the file names begin.
        images_per_shard: samples a shard, at least 1.
    """

    def __init__(self, folder: Path, prefix: str, images_per_shard: int) -> None:
        self._folder, self._prefix, self._images_per_shard = folder, prefix, images_per_shard
        self._keys: set[str] = set()
        self._piece = PieceWriter()
        self._indices: list[pa.Table] = []  # a table takes a tenth of the memory of its rows

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if len(self._piece):
            self._write_shard()

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
        """Append one sample, as PieceWriter.write; raises DataError also where the disk refuses."""
        if key in self._keys:
            raise DataError("A sample key stands twice in one shard set.", got=key, where=self._folder)
        who = {"image_id": image_id, "identity": identity, "split": split}
        self._piece.write(key, members, **who, landmarks=landmarks, score=score)
        self._keys.add(key)
        if len(self._piece) == self._images_per_shard:
            self._write_shard()

    def index(self) -> "pa.Table":
        """One row a member, in the order written (schemas.shard_index.SHARD_INDEX); whole once the writer is closed."""
        import pyarrow as pa

        from pipeline_lib.schemas.shard_index import SHARD_INDEX

        return pa.concat_tables([SHARD_INDEX.empty_table(), *self._indices]).combine_chunks()

    def _write_shard(self) -> None:
        name = shard_name(self._prefix, len(self._indices))
        shard = Shard(self._folder / name, name)
        piece, self._piece = self._piece, PieceWriter()
        shard.append(piece.piece())
        self._indices.append(shard.close())


def shard_name(prefix: str, number: int) -> str:
    """The file name of a set's shard."""
    return f"{prefix}-{number:06d}.tar"


def _header(name: str, num_bytes: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = num_bytes, 0o444
    return info.tobuf(tarfile.PAX_FORMAT)


def _check_names(key: str, members: Mapping[str, bytes]) -> None:
    if not KEY.fullmatch(key):
        raise DataError("A sample key is no WebDataset key.", got=repr(key), allowed=KEY.pattern)
    if not members:
        raise DataError("A sample has no members.", got=key)
    for member in members:
        if not MEMBER.fullmatch(member):
            raise DataError(
                "A member name would be read back differently.", got=repr(member), allowed=MEMBER.pattern, where=key
            )
