"""InsightFace's RecordIO collections: `<name>.rec`, `.idx` and `property` (METHODS, section 1), read in place."""

from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.packed import ROWS
from pipeline_lib.data.sources.shared.files import File, called, find, open_file
from pipeline_lib.data.sources.shared.record_file import Head, RecordFile, identity_number
from pipeline_lib.data.sources.shared.records import Photos, SourceFaces, make_image_id

READS_URLS = True
NUM_ANNOUNCED = 2  # labels of an identity's record, and of record 0 in the layout by identity: where its images are


def read(place: File) -> SourceFaces:
    """List the images of the one .rec in the folder `place`, or of the .rec that it is; nothing is decoded or copied.

    Two layouts. By identity: record 0 says which keys are identities' records, and each of these which keys are its images.
    Flat: every record is an image, and its first label the identity. An identity is called `<name>-<number>`, with the name of
    `place`.

    Raises:
        DataError: there is no .rec, or several; no .idx beside it; one of the two is damaged or not the other's.
    """
    path = _record_file(place)
    name = called(place, ".rec")
    prefix = make_image_id(name)
    index = _read_index(path.removesuffix(".rec") + ".idx" if isinstance(path, str) else path.with_suffix(".idx"))
    photos = Photos()
    try:
        with RecordFile(path) as file:
            for keys, numbers, heads in _images(file, index):
                photos.add(
                    image_id=[f"{prefix}-{key:08d}" for key in keys.tolist()],
                    identity=[f"{name}-{number}" for number in numbers],
                    path=[str(path)] * len(keys),
                    offset=heads.start,
                    length=heads.length,
                )
    except OSError as error:
        raise DataError("A RecordIO file cannot be read.", got=error.strerror or error, where=path) from error
    if not len(photos):
        raise DataError("A RecordIO file holds no images.", where=path)
    return SourceFaces(photos, [], frozenset(photos.unique("identity")))


class _Index(NamedTuple):
    """Keys, ascending, and where their records begin: int64 (N,) each."""

    keys: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]

    def places(self, keys: npt.NDArray[np.int64], file: RecordFile) -> npt.NDArray[np.int64]:
        """The offsets of these records."""
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        if len(missing := keys[self.keys[at] != keys]):
            raise file.damage("is not in the index", int(missing[0]))
        return self.offsets[at]


def _images(file: RecordFile, index: _Index) -> Iterator[tuple[npt.NDArray[np.int64], Sequence[str], Head]]:
    """Batches of (keys, the identity's number, where the image lies)."""
    announced = _announced(0, file, index) if index.keys[0] == 0 else None
    if announced is None:
        for first in range(0, len(index.keys), ROWS):
            keys = index.keys[first : first + ROWS]
            heads = file.heads(keys, index.offsets[first : first + ROWS])
            yield keys, [identity_number(label) for label in heads.label.tolist()], heads
        return
    members = _members(announced, file, index)
    while rows := list(islice(members, ROWS)):
        keys = np.array([key for _, key in rows], np.int64)
        yield keys, [number for number, _ in rows], file.heads(keys, index.places(keys, file))


def _members(owners: tuple[int, int], file: RecordFile, index: _Index) -> Iterator[tuple[str, int]]:
    """(the identity's number, the image's key) of every image in the layout by identity."""
    num_left = len(index.keys)
    for number, owner in enumerate(range(*owners)):
        keys = _announced(owner, file, index)
        if keys is None:
            raise file.damage("is no identity's record", owner)
        num_left -= keys[1] - keys[0]
        if num_left < 0:  # a few bytes could else announce the same images a million times
            raise file.damage("announces images that others have announced", owner)
        for key in range(*keys):
            yield str(number), key


def _announced(key: int, file: RecordFile, index: _Index) -> tuple[int, int] | None:
    """The keys from and up to which a record without an image announces others; None for an image's record."""
    labels, length = file.record(key, int(index.places(np.array([key], np.int64), file)[0]))
    if length or len(labels) != NUM_ANNOUNCED:
        return None
    if not all(0 <= label <= 1 << 53 for label in labels):  # nor infinite, nor no number
        raise file.damage(f"announces the records {labels[0]} to {labels[1]}, which are no keys", key)
    first, last = (int(label) for label in labels)
    if last < first or (last > first and not {first, last - 1} <= set(_near(index.keys, first, last - 1))):
        raise file.damage(f"announces the records {first} to {last}, which are not there", key)
    return first, last


def _near(keys: npt.NDArray[np.int64], *wanted: int) -> list[int]:
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return [int(key) for key in keys[at]]


def _record_file(place: File) -> File:
    found = find(place, ".rec")
    if not isinstance(place, str) and place.is_dir():
        found = [path for path in found if Path(path).parent == place]
    if len(found) != 1:
        got = ", ".join(str(path) for path in found) or "none"
        raise DataError("A RecordIO source is one .rec file with its .idx.", got=got, allowed="one", where=place)
    return found[0]


def _read_index(path: File) -> _Index:
    keys, offsets = array("q"), array("q")
    try:
        with open_file(path) as handle:
            for line in handle:
                key, offset = (int(field) for field in line.split())
                if key < 0 or offset < 0:
                    raise ValueError(f"key {key} at {offset}")
                keys.append(key)
                offsets.append(offset)
    except FileNotFoundError:
        raise DataError("A RecordIO file has no index.", allowed="the .idx that came with it", where=path) from None
    except (OSError, OverflowError, ValueError) as error:
        raise _damaged_index(str(error)[:200], path, len(keys) + 1) from error
    index = _Index(np.frombuffer(keys, np.int64), np.frombuffer(offsets, np.int64))
    if not len(index.keys):
        raise _damaged_index("no line", path, 1)
    if (np.diff(index.keys) > 0).all():
        return index
    order = np.argsort(index.keys, kind="stable")
    sorted_index = _Index(index.keys[order], index.offsets[order])
    if len(twice := order[1:][np.diff(sorted_index.keys) == 0]):
        raise _damaged_index(f"key {keys[twice.min()]} for the second time", path, int(twice.min()) + 1)
    return sorted_index


def _damaged_index(got: str, path: File, line: int) -> DataError:
    allowed = "lines of a key and an offset, each key once"
    return DataError("An index of RecordIO is damaged.", got=got, allowed=allowed, where=f"{path}, line {line}")
