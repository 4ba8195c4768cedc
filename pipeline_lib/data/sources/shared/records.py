"""What every source gives: photographs, its own pairs, and the names of everybody it knows."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pyarrow as pa

from pipeline_lib.core.packed import ROWS, PackedTable, with_column
from pipeline_lib.data.photos.place import Place
from pipeline_lib.params.ingest import DETECT, Faces


@dataclass(frozen=True, slots=True)
class PhotoRecord:
    """One photograph of a source. `split`, `view` (frontal, profile) None: the source states none. `landmarks`: 10 px values
    x0 y0 .. x4 y4 or None. `box`: where the face is, x0 y0 x1 y1 px, or None. `attributes`: what else is said of it, by name, or
    None. `offset`, `length`: of its bytes in a file that holds many (photos.place); None for all of the file. `faces`: see
    params.ingest.Source.
    """

    image_id: str
    identity: str
    path: str  # or a URL
    split: str | None
    media: str
    landmarks: Sequence[float] | None = None
    view: str | None = None
    offset: int | None = None
    length: int | None = None
    faces: Faces = DETECT
    attributes: Mapping[str, str] | None = None
    box: Sequence[float] | None = None

    @property
    def place(self) -> Place:
        """Where its bytes lie."""
        return Place(self.path, self.offset, self.length)

    @property
    def shown_place(self) -> str:
        """The same as a text."""
        return (
            self.path
            if self.offset is None
            else f"{self.path}, bytes {self.offset} to {self.offset + (self.length or 0)}"
        )


@dataclass(frozen=True, slots=True)
class PairRecord:
    """One verification pair of a source's own protocol, of two images or templates; `fold` counts from 0. `group`: as in
    schemas/pairs.py.
    """

    protocol: str
    fold: int
    image_a: str
    image_b: str
    genuine: bool
    group: str | None = None


@dataclass(frozen=True, slots=True)
class TemplateRecord:
    """One image of a template; `media` and `weight` as in schemas/templates.py."""

    template: str
    image_id: str
    media: str
    weight: float = 1.0


# As PhotoRecord has them. A path is bytes, for a name may be no text.
PHOTOS = pa.schema(
    [
        ("image_id", pa.string()),
        ("identity", pa.string()),
        ("path", pa.binary()),
        ("split", pa.string()),
        ("media", pa.string()),
        ("landmarks", pa.list_(pa.float64())),
        ("box", pa.list_(pa.float64())),
        ("view", pa.string()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("faces", pa.string()),
        ("attributes", pa.map_(pa.string(), pa.string())),
    ]
)


class Photos(PackedTable):
    """The photographs of a source in their order, as many millions as there are: gone through as records, or by batch."""

    def __init__(self) -> None:
        super().__init__(PHOTOS)

    def __len__(self) -> int:
        return self.num_rows

    def __iter__(self) -> Iterator[PhotoRecord]:
        for batch in self.batches():
            columns = {name: batch[name].to_pylist() for name in PHOTOS.names}
            columns["path"] = list(map(os.fsdecode, columns["path"]))
            columns["attributes"] = [None if said is None else dict(said) for said in columns["attributes"]]
            yield from (
                PhotoRecord(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)
            )

    def add(self, **columns: Any) -> None:
        """Add a batch of photographs, of which whole columns are known; those that are not given are what a record's are.

        Args:
            columns: of PHOTOS, sequences or arrays of one length, image_id, identity and path at least; a path as a text.
        """
        num = len(columns["image_id"])
        known: dict[str, Any] = {"media": columns["image_id"], "faces": [DETECT] * num, **columns}
        known["path"] = list(map(os.fsencode, known["path"]))
        none = [None] * num
        arrays = [pa.array(known.get(field.name, none), field.type) for field in PHOTOS]
        self.append(pa.RecordBatch.from_arrays(arrays, schema=PHOTOS))

    def replaced(self, name: str, values: Mapping[str, str]) -> "Photos":
        """Other texts in a column, where `values` has any for what stands there."""

        def change(batch: pa.RecordBatch) -> pa.RecordBatch:
            coded = batch[name].dictionary_encode()
            old = coded.dictionary.to_pylist()
            new = [values.get(text, text) for text in old]
            return batch if new == old else with_column(batch, name, pa.array(new, pa.string()).take(coded.indices))

        return self.mapped(change)


def as_photos(records: Iterable[PhotoRecord]) -> Photos:
    """Photographs as a table of them; no more than a batch are Python's at a time."""
    if isinstance(records, Photos):
        return records
    photos, left = Photos(), iter(records)
    while rows := list(islice(left, ROWS)):
        columns = {name: [getattr(row, name) for row in rows] for name in PHOTOS.names}
        columns["attributes"] = [None if said is None else list(said.items()) for said in columns["attributes"]]
        photos.add(**columns)
    return photos


@dataclass(frozen=True)
class SourceFaces:
    """What a source holds; `all_names` are all identities it states, also those of whom no photograph is here. `templates`: of
    its pairs.
    """

    photos: Photos
    pairs: list[PairRecord] = field(default_factory=list)
    all_names: frozenset[str] = frozenset()
    templates: list[TemplateRecord] = field(default_factory=list)


def make_image_id(*parts: str) -> str:
    """Join parts to a WebDataset key of [A-Za-z0-9_-]; other ASCII becomes "-", a part with other letters ends in a hash."""
    return "-".join(_key_part(part) for part in parts)


def _key_part(part: str) -> str:
    key = re.sub(r"[^A-Za-z0-9_-]", "-", part)
    # Without the hash "Jörg" and "Jürg", or any two names in Chinese, would be one key.
    return key if part.isascii() else f"{key}-{hashlib.sha256(part.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"
