"""Photographs in WebDataset's tars: `<key>.jpg` and beside it `<key>.cls` or `<key>.json`, read in place."""

import json
import tarfile
from collections.abc import Iterator
from typing import IO, Any, NamedTuple, cast

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.photos.folder import PHOTO_SUFFIXES
from pipeline_lib.data.sources.shared.boxes import Box, stated_box
from pipeline_lib.data.sources.shared.files import File, below, called, find, open_file
from pipeline_lib.data.sources.shared.names import normalise_name
from pipeline_lib.data.sources.shared.records import PhotoRecord, SourceFaces, as_photos, make_image_id

READS_URLS = True
MAX_LABEL_BYTES = MAX_HEAD_BYTES = 1 << 20
LABELS = ("cls", "json")
IDENTITY_KEYS = ("identity", "label", "class")  # of a .json, the first that is there


class _Member(NamedTuple):
    offset: int
    length: int


class _Sample(NamedTuple):
    key: str
    identity: str
    box: Box | None
    picture: _Member


class _Heads:
    """A tar as tarfile sees it, which reads heads alone: of a hostile one's long head it would take all into memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.seek, self.tell = file, file.seek, file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MAX_HEAD_BYTES:
            raise ValueError(f"a head of {size} bytes")
        return self._file.read(size)


def read(place: File) -> SourceFaces:
    """List the photographs of all .tar below `place`, or of the .tar that it is; nothing is unpacked.

    A sample is the members of one key, which follow one another: one picture, and its identity in `.cls` (a text) or in `.json`
    (`identity`, `label` or `class`); `box` of the `.json`, which may be absent or null, has x0, y0, x1, y1 px; other members are
    passed over. A number n is called `<place>-n`, for numbers are no names.

    Raises:
        DataError: there is no tar; a tar is damaged or compressed; a key comes twice, or has no picture, several, no identity,
            or a box that is none.
    """
    tars = find(place, ".tar")
    if not tars:
        raise DataError("There is no WebDataset tar.", allowed="<name>.tar, not compressed", where=place)
    name = called(place, ".tar")
    photos = as_photos(
        _photo(path, [name, *below(path, place, ".tar")], sample) for path in tars for sample in _samples(path)
    )
    if not len(photos):
        raise DataError("WebDataset tars hold no samples.", got=f"{len(tars)} tars", where=place)
    return SourceFaces(photos, [], frozenset(photos.unique("identity")))


def _photo(path: File, prefix: list[str], sample: _Sample) -> PhotoRecord:
    image_id = make_image_id(*prefix, sample.key)
    identity, (offset, length) = sample.identity, sample.picture
    who = f"{prefix[0]}-{identity}" if identity.isdecimal() else normalise_name(identity)
    return PhotoRecord(image_id, who, str(path), None, image_id, box=sample.box, offset=offset, length=length)


def _samples(path: File) -> Iterator[_Sample]:
    """Each sample of a tar."""
    key: str | None = None
    members: dict[str, _Member] = {}
    seen: set[str] = set()
    try:
        # Members are never written anywhere: of a hostile tar's names nothing becomes a path.
        with open_file(path) as file, tarfile.open(fileobj=cast(IO[bytes], _Heads(file)), mode="r:") as tar:
            last = -1
            for info in tar:
                if info.offset <= last:  # a negative size leads back, for ever
                    raise ValueError(f"a member at byte {info.offset} follows one at byte {last}")
                last = info.offset
                if not info.isreg() or info.issparse() or info.name.rpartition("/")[2].startswith("."):
                    continue
                folder, slash, base = info.name.rpartition("/")
                stem, dot, kind = base.partition(".")
                if folder + slash + stem != key:
                    if key is not None:
                        yield _sample(path, file, key, members)
                    key, members = folder + slash + stem, {}
                    if key in seen:
                        raise DataError("A WebDataset key comes twice.", got=key[:100], where=path)
                    seen.add(key)
                if kind in members:
                    raise DataError("A WebDataset sample has a member twice.", got=info.name[:100], where=path)
                if dot:
                    members[kind.lower()] = _Member(info.offset_data, info.size)
                cast(Any, tar).members = []  # it would keep all of them
            if key is not None:
                yield _sample(path, file, key, members)
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError, RecursionError) as error:
        raise DataError("A WebDataset tar is damaged, or compressed.", got=str(error)[:200], where=path) from error


def _sample(path: File, file: IO[bytes], key: str, members: dict[str, _Member]) -> _Sample:
    pictures = [member for kind, member in members.items() if f".{kind}" in PHOTO_SUFFIXES]
    if len(pictures) != 1:
        got = f"{key[:100]}: {', '.join(members) or 'nothing'}"
        raise DataError("A WebDataset sample has not one picture.", got=got, allowed=PHOTO_SUFFIXES, where=path)
    small = {kind: members[kind] for kind in LABELS if kind in members and members[kind].length <= MAX_LABEL_BYTES}
    labels = [_label(kind, _read(file, member)) for kind, member in small.items()]
    identity = next(filter(None, map(_identity, labels)), None)
    if identity is not None:
        boxes = [label["box"] for label in labels if isinstance(label, dict) and label.get("box") is not None]
        box = stated_box(boxes[0], f"{path}, {key[:100]}") if boxes else None
        return _Sample(key, identity, box, pictures[0])
    allowed = f".cls, or .json with {' or '.join(IDENTITY_KEYS)}"
    raise DataError("A WebDataset sample says no identity.", got=key[:100], allowed=allowed, where=path)


def _read(file: IO[bytes], member: _Member) -> bytes:
    file.seek(member.offset)  # tarfile seeks what it reads
    return file.read(member.length)


def _label(kind: str, content: bytes) -> Any:
    try:
        text = content.decode()
        return json.loads(text) if kind == "json" else text
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        return None


def _identity(value: Any) -> str | None:
    if isinstance(value, dict):
        value = next((value[key] for key in IDENTITY_KEYS if isinstance(value.get(key), str | int)), None)
    return str(value).strip() or None if isinstance(value, str | int) else None
