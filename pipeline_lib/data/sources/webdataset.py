"""Photographs in WebDataset's tars: `<key>.jpg` and beside it `<key>.cls` or `<key>.json`, read in place."""

import json
import tarfile
from collections.abc import Iterator
from typing import IO, Any, NamedTuple, cast

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.photos.folder import PHOTO_SUFFIXES
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
    (`identity`, `label` or `class`); other members are passed over. A number n is called `<place>-n`, for numbers are no names.

    Raises:
        DataError: there is no tar; a tar is damaged or compressed; a key comes twice, or has no picture, several, or no identity.
    """
    tars = find(place, ".tar")
    if not tars:
        raise DataError("There is no WebDataset tar.", allowed="<name>.tar, not compressed", where=place)
    name = called(place, ".tar")
    photos = as_photos(
        _photo(path, [name, *below(path, place, ".tar")], *found) for path in tars for found in _samples(path)
    )
    if not len(photos):
        raise DataError("WebDataset tars hold no samples.", got=f"{len(tars)} tars", where=place)
    return SourceFaces(photos, [], frozenset(photos.unique("identity")))


def _photo(path: File, prefix: list[str], key: str, identity: str, picture: _Member) -> PhotoRecord:
    image_id = make_image_id(*prefix, key)
    who = f"{prefix[0]}-{identity}" if identity.isdecimal() else normalise_name(identity)
    return PhotoRecord(image_id, who, str(path), None, image_id, offset=picture.offset, length=picture.length)


def _samples(path: File) -> Iterator[tuple[str, str, _Member]]:
    """(key, identity, picture) of each sample of a tar."""
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


def _sample(path: File, file: IO[bytes], key: str, members: dict[str, _Member]) -> tuple[str, str, _Member]:
    pictures = [member for kind, member in members.items() if f".{kind}" in PHOTO_SUFFIXES]
    if len(pictures) != 1:
        got = f"{key[:100]}: {', '.join(members) or 'nothing'}"
        raise DataError("A WebDataset sample has not one picture.", got=got, allowed=PHOTO_SUFFIXES, where=path)
    for kind in LABELS:
        label = members.get(kind)
        if label and label.length <= MAX_LABEL_BYTES and (identity := _identity(kind, _read(file, label))):
            return key, identity, pictures[0]
    allowed = f".cls, or .json with {' or '.join(IDENTITY_KEYS)}"
    raise DataError("A WebDataset sample says no identity.", got=key[:100], allowed=allowed, where=path)


def _read(file: IO[bytes], member: _Member) -> bytes:
    file.seek(member.offset)  # tarfile seeks what it reads
    return file.read(member.length)


def _identity(kind: str, content: bytes) -> str | None:
    try:
        text = content.decode()
        value = json.loads(text) if kind == "json" else text
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        return None
    if isinstance(value, dict):
        value = next((value[key] for key in IDENTITY_KEYS if isinstance(value.get(key), str | int)), None)
    return str(value).strip() or None if isinstance(value, str | int) else None
