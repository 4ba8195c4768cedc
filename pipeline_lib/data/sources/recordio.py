"""InsightFace's RecordIO collections: `<name>.rec`, `.idx` and `property` (METHODS, section 1), read in place."""

import mmap
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.photos import recordio
from pipeline_lib.data.photos.folder import visible
from pipeline_lib.data.photos.place import Place
from pipeline_lib.data.sources.shared.records import PhotoRecord, SourceFaces, make_image_id

NUM_ANNOUNCED = 2  # labels of an identity's record, and of record 0 in the layout by identity: where its images are


def read(folder: Path) -> SourceFaces:
    """List the images of the one .rec below `folder`, or of the .rec that `folder` is; nothing is decoded or copied.

    Two layouts. By identity: record 0 says which keys are identities' records, and each of these which keys are its images.
    Flat: every record is an image, and its first label the identity. An identity is called `<name>-<number>`, with the name of
    `folder`.

    Raises:
        DataError: there is no .rec, or several; no .idx beside it; one of the two is damaged or not the other's.
    """
    place = _record_file(folder)
    name = folder.stem if folder.is_file() else folder.name or folder.resolve().name
    index = _read_index(place.with_suffix(".idx"))
    with ExitStack() as stack:
        handle = stack.enter_context(place.open("rb"))
        if not place.stat().st_size:
            raise DataError("A RecordIO file is empty.", where=place)
        records = _Records(stack.enter_context(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)), index, place)
        photos = [
            PhotoRecord(
                image_id := make_image_id(name, f"{key:08d}"),
                f"{name}-{label}",
                str(place),
                None,
                image_id,
                offset=where.offset,
                length=where.length,
            )
            for key, label, where in records.images()
        ]
    if not photos:
        raise DataError("A RecordIO file holds no images.", where=place)
    return SourceFaces(photos, [], frozenset(photo.identity for photo in photos))


@dataclass(frozen=True)
class _Records:
    """The records of a mapped file."""

    data: mmap.mmap
    index: dict[int, int]  # key -> offset
    path: Path

    def images(self) -> Iterator[tuple[int, str, Place]]:
        """(key, the identity's number, where the image lies)."""
        first = self._announced(0) if 0 in self.index else None
        if first is None:
            for key in self.index:
                labels, place = self._image(key)
                yield key, _number(labels[0]), place
            return
        for number, owner in enumerate(range(*first)):
            keys = self._announced(owner)
            if keys is None:
                raise self._damage("is no identity's record", owner)
            for key in range(*keys):
                yield key, str(number), self._image(key)[1]

    def _announced(self, key: int) -> tuple[int, int] | None:
        """The keys from and up to which a record without an image announces others; None for an image's record."""
        labels, place = self._image(key)
        if place.length or len(labels) != NUM_ANNOUNCED:
            return None
        first, last = (int(label) for label in labels)
        if not 0 <= first <= last or (last > first and not {first, last - 1} <= self.index.keys()):
            raise self._damage(f"announces the records {first} to {last}, which are not there", key)
        return first, last

    def _image(self, key: int) -> tuple[tuple[float, ...], Place]:
        try:
            at = self.index[key]
        except KeyError:
            raise self._damage("is not in the index", key) from None
        try:
            found = list(recordio.parts(self.data, at))  # type: ignore[arg-type]  # a map is read as bytes are
            _, start, length = found[0]
            head = recordio.HEADER.size + 4 * recordio.MAX_LABELS
            if len(found) == 1:
                record = recordio.record(self.data[start : start + min(length, head)])
                return record.labels, Place(self.path, start + record.start, length - record.start)
            record = recordio.record(recordio.payload(self.data, at))  # type: ignore[arg-type]
        except DataError as error:
            raise self._damage(str(error).replace("\n", "; "), key) from error
        _, last, length = found[-1]
        return record.labels, Place(self.path, at, last + length - at)  # all of its parts (photos.place)

    def _damage(self, what: str, key: int) -> DataError:
        return DataError(
            "A RecordIO file and its index do not go together, or one is damaged.",
            got=f"record {key} {what}",
            where=self.path,
        )


def _record_file(folder: Path) -> Path:
    found = [folder] if folder.is_file() else visible(folder, "*.rec")
    if len(found) != 1:
        got = ", ".join(path.name for path in found) or "none"
        raise DataError("A RecordIO source is one .rec file with its .idx.", got=got, allowed="one", where=folder)
    return found[0]


def _read_index(path: Path) -> dict[int, int]:
    index: dict[int, int] = {}
    try:
        with path.open() as handle:
            for line in handle:
                key, offset = (int(field) for field in line.split())
                if key in index or key < 0 or offset < 0:
                    raise ValueError(f"key {key} at {offset}")
                index[key] = offset
    except FileNotFoundError:
        raise DataError("A RecordIO file has no index.", allowed="the .idx that came with it", where=path) from None
    except (UnicodeDecodeError, ValueError) as error:
        allowed, where = "lines of a key and an offset, each key once", f"{path}, line {len(index) + 1}"
        raise DataError("An index of RecordIO is damaged.", got=error, allowed=allowed, where=where) from error
    return index


def _number(label: float) -> str:
    return str(int(label)) if label == int(label) else struct.pack("<f", label).hex()
