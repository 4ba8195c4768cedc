"""Photographs in Parquet tables with a column of images, as data sets on hubs are shipped."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources.shared.boxes import Box, stated_box
from pipeline_lib.data.sources.shared.files import File, called, find, open_file
from pipeline_lib.data.sources.shared.names import normalise_name
from pipeline_lib.data.sources.shared.pack import open_pack
from pipeline_lib.data.sources.shared.records import PhotoRecord, SourceFaces, as_photos, make_image_id

IMAGES = ("image", "img", "jpg", "png")
IDENTITIES = ("identity", "label", "class", "person", "cls")
BOX = "box"
READS_URLS = True
ROWS = 256  # read at a time


def unpack(place: File, folder: Path, write: bool) -> SourceFaces:
    """Read the table that `place` is, or all .parquet below it; pictures go into one file a table below `folder` (shared.pack).

    A row is a photograph: its bytes in one of IMAGES, as they are or in a field `bytes`, and its identity in one of IDENTITIES. A
    number n is called `<name>-n`, with the name of `place`. A column BOX, which may be absent or null, has x0, y0, x1, y1 px.

    Args:
        place: a table or a folder of tables.
        folder: of the packs.
        write: whether packs are written; where not, no picture is read.

    Raises:
        DataError: no table is there, or one is damaged, has no such columns, or a row without a picture or an
            identity, or with a box that is none.
    """
    tables = find(place, ".parquet")
    if not tables:
        raise DataError("There is no Parquet table.", allowed="<name>.parquet", where=place)
    name = called(place, ".parquet")
    photos = as_photos(
        photo
        for number, path in enumerate(tables)
        for photo in _photos(path, make_image_id(name, f"{number:05d}"), name, folder / f"{number:05d}.pack", write)
    )
    if not len(photos):
        raise DataError("Parquet tables hold no photographs.", got=f"{len(tables)} tables", where=place)
    return SourceFaces(photos, [], frozenset(photos.unique("identity")))


def _photos(table: File, prefix: str, name: str, target: Path, write: bool) -> Iterator[PhotoRecord]:
    with open_pack(target, write) as pack:
        for row, (content, identity, box) in enumerate(_rows(table, write)):
            offset, length = pack.add(content)
            image_id = f"{prefix}-{row:08d}"
            who = f"{name}-{identity}" if identity.isdecimal() else normalise_name(identity)
            yield PhotoRecord(image_id, who, str(pack.path), None, image_id, box=box, offset=offset, length=length)


def _rows(path: File, with_images: bool) -> Iterator[tuple[bytes, str, Box | None]]:
    try:
        with open_file(path) as handle, pq.ParquetFile(handle) as file:
            names = file.schema_arrow.names
            image, identity = _column(names, IMAGES, path), _column(names, IDENTITIES, path)
            with_boxes = BOX in names
            columns = [identity, *([image] if with_images else []), *([BOX] if with_boxes else [])]
            for batch in file.iter_batches(ROWS, columns=columns):
                contents = batch[image].to_pylist() if with_images else [b""] * batch.num_rows
                boxes = batch[BOX].to_pylist() if with_boxes else [None] * batch.num_rows
                for content, who, box in zip(contents, batch[identity].to_pylist(), boxes, strict=True):
                    yield _content(content, path), _who(who, path), None if box is None else stated_box(box, path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError("A Parquet table is damaged.", got=str(error)[:200], where=path) from error


def _column(names: list[str], wanted: tuple[str, ...], path: File) -> str:
    found = next((name for name in wanted if name in names), None)
    if found is None:
        raise DataError(
            "A Parquet table lacks a column.", got=names[:20], allowed=f"one of {', '.join(wanted)}", where=path
        )
    return found


def _content(value: Any, path: File) -> bytes:
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes):
        got, allowed = type(content).__name__, "bytes, or a field `bytes`: pictures that lie elsewhere are not fetched"
        raise DataError("A row of a Parquet table holds no picture.", got=got, allowed=allowed, where=path)
    return content


def _who(value: Any, path: File) -> str:
    text = str(value).strip() if isinstance(value, str | int) else ""
    if not text:
        raise DataError("A row of a Parquet table says no identity.", got=repr(value)[:50], where=path)
    return text
