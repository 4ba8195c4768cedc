"""The embedding store: one Arrow file of vectors, one of patch features, both of fixed-size lists and memory-mapped."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import atomic_file
from pipeline_lib.core.texts import MISSING, Texts, as_texts

Floats = npt.NDArray[np.float32]
VECTORS_FILE, PATCHES_FILE = "embeddings.arrow", "patches.arrow"
WEIGHTS_DIGEST = "weights_digest"  # key of the vectors' metadata


@dataclass(frozen=True)
class EmbeddingSet:
    """Embedded images, row by row.

    Attributes:
        keys: N unique names: `<image_id>` of an aligned image, `<image_id>+<kind>` of an occluded one.
        image_ids, identities, splits: N each; identities and splits as in the manifest.
        kinds: N; the occlusion drawn on the image, None on a clean one.
        vectors: float32 (N, D), unnormalised, finite.
        patches: float32 (M, K, C) unnormalised patch features of the rows `patch_keys`, or None where not read.
        patch_keys: M keys, a subset of `keys`, in the order of `keys`.
        grid: int64 (K, 4), x y w h in px of each patch in the 112x112 image, or None where the set has no patches.
    """

    keys: Sequence[str]
    image_ids: Sequence[str]
    identities: Sequence[str]
    splits: Sequence[str]
    kinds: Sequence[str | None]
    vectors: Floats
    patches: Floats | None
    patch_keys: Sequence[str]
    grid: npt.NDArray[np.int64] | None = None

    def rows(self, keys: Iterable[str]) -> npt.NDArray[np.int64]:
        """Row numbers of `keys`, int64, looked up at once; raises DataError naming keys that are not in the set."""
        asked = as_texts(keys)
        rows = as_texts(self.keys).rows(asked)
        if (rows == MISSING).any():
            got = list(asked.take(np.flatnonzero(rows == MISSING)[:5]))
            raise DataError("An image has no embedding.", got=got, allowed="a key of the embedding set")
        return rows


class EmbeddingWriter:
    """Writes an embedding set batch by batch, so that memory holds one batch; the files appear when the block ends.

    Args:
        folder: where embeddings.arrow and patches.arrow go.
        dim: D, the length of a vector.
        grid: int64 (K, 4) boxes of the patch features; None for a set without patches.
        patch_dim: C, the length of a patch feature; 0 without patches.
        weights_digest: of the network that made the vectors (checkpoints.weights_digest); empty where nobody asks for it.
    """

    def __init__(
        self, folder: Path, dim: int, grid: npt.NDArray[np.int64] | None, patch_dim: int, weights_digest: str = ""
    ) -> None:
        self.folder, self.dim, self.grid, self.patch_dim = folder, dim, grid, patch_dim
        self._seen: set[str] = set()
        boxes = [] if grid is None else np.asarray(grid).tolist()
        size = len(boxes) * patch_dim
        strings = [(name, pa.string()) for name in ("key", "image_id", "identity", "split", "kind")]
        vector = ("vector", pa.list_(pa.float32(), dim))
        self._vector_schema = pa.schema([*strings, vector], metadata={WEIGHTS_DIGEST: weights_digest})
        self._patch_schema = pa.schema(
            [("key", pa.string()), ("patches", pa.list_(pa.float32(), size))],
            metadata={"grid": json.dumps(boxes), "patch_dim": str(patch_dim)},
        )
        self._open = self._opened()

    def __enter__(self) -> "EmbeddingWriter":
        self._vectors, self._patches = self._open.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._open.__exit__(kind, error, trace)

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        with (
            atomic_file(self.folder / VECTORS_FILE) as vector_path,
            atomic_file(self.folder / PATCHES_FILE) as patch_path,
            pa.ipc.new_file(vector_path, self._vector_schema) as vectors,
            pa.ipc.new_file(patch_path, self._patch_schema) as patches,
        ):
            yield vectors, patches

    def write(self, batch: EmbeddingSet) -> None:
        """Append a batch; `batch.patches` holds the rows `batch.patch_keys` only.

        Raises:
            DataError: a key was written before, a value is NaN or infinite, a shape differs from the first batch's.
        """
        patches = (
            np.zeros((0, self._num_patches, self.patch_dim), np.float32) if batch.patches is None else batch.patches
        )
        self._check(batch, patches)
        self._seen.update(batch.keys)
        columns = [batch.keys, batch.image_ids, batch.identities, batch.splits, batch.kinds]
        strings = [pa.array(column, pa.string()) for column in columns]
        vectors = _fixed_lists(batch.vectors)
        self._vectors.write_batch(pa.record_batch([*strings, vectors], schema=self._vector_schema))
        if len(patches):
            lists = [pa.array(batch.patch_keys, pa.string()), _fixed_lists(patches.reshape(len(patches), -1))]
            self._patches.write_batch(pa.record_batch(lists, schema=self._patch_schema))

    @property
    def _num_patches(self) -> int:
        return 0 if self.grid is None else len(self.grid)

    def _check(self, batch: EmbeddingSet, patches: Floats) -> None:
        num, where = len(batch.keys), self.folder
        if {len(batch.image_ids), len(batch.identities), len(batch.splits), len(batch.kinds)} != {num}:
            raise DataError("An embedding batch's columns differ in length.", allowed=num, where=where)
        if batch.vectors.shape != (num, self.dim):
            allowed = (num, self.dim)
            raise DataError(
                "An embedding batch has another shape.", got=batch.vectors.shape, allowed=allowed, where=where
            )
        expected = (len(batch.patch_keys), self._num_patches, self.patch_dim)
        if patches.shape != expected:
            raise DataError("A patch batch has another shape.", got=patches.shape, allowed=expected, where=where)
        twice = sorted(key for key, times in Counter(batch.keys).items() if times > 1 or key in self._seen)
        if twice:
            raise DataError("A key is embedded twice.", got=twice[:5], allowed="unique keys", where=where)
        unknown = sorted(set(batch.patch_keys) - set(batch.keys))
        if unknown:
            raise DataError("Patch features belong to no image of the batch.", got=unknown[:5], where=where)
        for keys, values in ((batch.keys, batch.vectors), (batch.patch_keys, patches)):
            bad = ~np.isfinite(values.reshape(len(keys), -1)).all(axis=1) if len(keys) else np.zeros(0, bool)
            if bad.any():
                names = [keys[row] for row in np.flatnonzero(bad)[:5]]
                raise DataError(
                    "The network gave a NaN or infinite feature; its training diverged.", got=names, where=where
                )


def write_embeddings(folder: Path, embedded: EmbeddingSet, weights_digest: str = "") -> None:
    """Write a whole set at once; see EmbeddingWriter for what is refused."""
    patch_dim = 0 if embedded.patches is None else embedded.patches.shape[2]
    with EmbeddingWriter(folder, embedded.vectors.shape[1], embedded.grid, patch_dim, weights_digest) as writer:
        writer.write(embedded)


def read_weights_digest(folder: Path) -> str:
    """The digest of the weights that made a set's vectors.

    Raises:
        DataError: the set does not say it, or its file is missing or damaged.
    """
    with _mapped(folder / VECTORS_FILE) as reader:
        digest = (reader.schema.metadata or {}).get(WEIGHTS_DIGEST.encode(), b"").decode()
    if not digest:
        problem = "These embeddings do not say which weights made them; run the embed stage again."
        raise DataError(problem, where=folder / VECTORS_FILE)
    return str(digest)


def read_embeddings(folder: Path, with_patches: bool = False) -> EmbeddingSet:
    """Read the vectors of a set, and all its patch features if asked (StoredPatches reads some at a time).

    Raises:
        DataError: a file is missing or is not what EmbeddingWriter writes.
    """
    with _mapped(folder / VECTORS_FILE) as reader:
        dim = _list_size(reader, "vector", folder / VECTORS_FILE)
        table = reader.read_all()
        names = ("key", "image_id", "identity", "split", "kind")
        keys, image_ids, identities, splits, kinds = (_texts(table.column(name)) for name in names)
        vectors = np.empty((table.num_rows, dim), np.float32)
        _fill(vectors, table.column("vector").chunks)
    with _mapped(folder / PATCHES_FILE) as reader:
        grid, shape = _patch_layout(reader, folder / PATCHES_FILE)
        table = reader.read_all()
        patch_keys = _texts(table.column("key"))
        patches = np.empty((table.num_rows, *shape), np.float32) if with_patches else None
        if patches is not None:
            _fill(patches.reshape(len(patches), shape[0] * shape[1]), table.column("patches").chunks)
    return EmbeddingSet(keys, image_ids, identities, splits, kinds, vectors, patches, patch_keys, grid)


class StoredPatches:
    """The patch features of a set, in their file: rows are read when they are asked for, by several threads if need be.

    Attributes:
        grid: int64 (K, 4), x y w h in px of each patch, or None where the set has no patches.
        shape: K, C.

    Raises:
        DataError: the file is missing or is not what EmbeddingWriter writes.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / PATCHES_FILE
        with _mapped(self._path) as reader:
            self.grid, self.shape = _patch_layout(reader, self._path)
            table = reader.read_all()
        self._keys = _texts(table.column("key"))
        chunks = table.column("patches").chunks  # they keep the mapping open
        self._chunks = [_as_numpy(chunk, self.shape[0] * self.shape[1]) for chunk in chunks]
        self._starts = np.cumsum([0, *map(len, chunks)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def rows(self, keys: Iterable[str]) -> npt.NDArray[np.int64]:
        """The rows of `keys`, int64, looked up at once; raises DataError naming keys that have no patch features."""
        asked = as_texts(keys)
        rows = self._keys.rows(asked)
        if (rows == MISSING).any():
            missing = list(asked.take(np.flatnonzero(rows == MISSING)[:5]))
            raise DataError("An image has no patch features.", got=missing, where=self._path)
        return rows

    def read(self, rows: npt.NDArray[np.int64]) -> Floats:
        """The patch features of `rows` (n,), float32 (n, K, C), in their order."""
        patches = np.empty((len(rows), self.shape[0] * self.shape[1]), np.float32)
        chunk_of = np.searchsorted(self._starts, rows, side="right") - 1
        order = np.argsort(chunk_of, kind="stable")
        numbers, firsts = np.unique(chunk_of[order], return_index=True)
        for number, here in zip(
            numbers, np.split(order, firsts[1:]), strict=False
        ):  # no rows: no number, one empty part
            patches[here] = self._chunks[number][rows[here] - self._starts[number]]
        return patches.reshape(len(rows), *self.shape)


@contextmanager
def _mapped(path: Path) -> Iterator[Any]:
    try:
        with pa.memory_map(str(path)) as source:
            yield pa.ipc.open_file(source)
    except FileNotFoundError:
        raise DataError("An embedding file is missing; run the embed stage.", where=path) from None
    except pa.ArrowInvalid as error:
        raise DataError("An embedding file is truncated or no Arrow file.", got=error, where=path) from error


def _list_size(reader: Any, column: str, path: Path) -> int:
    if column not in reader.schema.names or not pa.types.is_fixed_size_list(reader.schema.field(column).type):
        raise DataError("An embedding file has other columns.", got=reader.schema.names, allowed=column, where=path)
    return int(reader.schema.field(column).type.list_size)


def _patch_layout(reader: Any, path: Path) -> tuple[npt.NDArray[np.int64] | None, tuple[int, int]]:
    size = _list_size(reader, "patches", path)
    metadata = reader.schema.metadata or {}
    boxes = json.loads(metadata.get(b"grid", b"[]"))
    patch_dim = int(metadata.get(b"patch_dim", b"0"))
    if len(boxes) * patch_dim != size:
        raise DataError(
            "A patch file's grid and its list size differ.", got=size, allowed=len(boxes) * patch_dim, where=path
        )
    return (np.array(boxes, np.int64) if boxes else None), (len(boxes), patch_dim)


def _texts(column: Any) -> Texts:
    """A column of a mapped file, copied out of it."""
    return Texts(pa.concat_arrays([pa.array([], pa.string()), *column.chunks]))


def _fixed_lists(values: Floats) -> Any:
    flat = pa.array(np.ascontiguousarray(values, np.float32).reshape(-1))
    if values.shape[1]:
        return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pa.array([[]] * len(values), pa.list_(pa.float32(), 0))


def _as_numpy(chunk: Any, size: int) -> Floats:
    """A view of a chunk of fixed-size lists, (len(chunk), size); nothing is copied."""
    flat: Floats = chunk.flatten().to_numpy(zero_copy_only=True)
    return flat.reshape(len(chunk), size)


def _fill(target: Floats, chunks: Sequence[Any]) -> None:
    first = 0
    for chunk in chunks:
        target[first : first + len(chunk)] = _as_numpy(chunk, target.shape[1])
        first += len(chunk)
