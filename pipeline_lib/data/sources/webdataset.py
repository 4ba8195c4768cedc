"""Photographs in WebDataset's tars: `<key>.jpg` and beside it `<key>.cls` or `<key>.json`, read in place."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.photos.folder import PHOTO_SUFFIXES, visible
from pipeline_lib.data.sources.shared.names import normalise_name
from pipeline_lib.data.sources.shared.records import PhotoRecord, SourceFaces, make_image_id

MAX_LABEL_BYTES = 1 << 20
LABELS = ("cls", "json")
IDENTITY_KEYS = ("identity", "label", "class")  # of a .json, the first that is there


class _Member(NamedTuple):
    offset: int
    length: int


def read(folder: Path) -> SourceFaces:
    """List the photographs of all .tar below `folder`, or of the .tar that `folder` is; nothing is unpacked.

    A sample is the members of one key, which follow one another: one picture, and its identity in `.cls` (a text) or in `.json`
    (`identity`, `label` or `class`); other members are passed over. A number n is called `<folder>-n`, for numbers are no names.

    Raises:
        DataError: there is no tar; a tar is damaged or compressed; a key comes twice, or has no picture, several, or no identity.
    """
    tars = [folder] if folder.is_file() else visible(folder, "**/*.tar")
    if not tars:
        raise DataError("There is no WebDataset tar.", allowed="<name>.tar, not compressed", where=folder)
    name = folder.stem if folder.is_file() else folder.name or folder.resolve().name
    photos: list[PhotoRecord] = []
    for path in tars:
        prefix = [name] if folder.is_file() else [name, path.relative_to(folder).with_suffix("").as_posix()]
        for key, identity, picture in _samples(path):
            image_id = make_image_id(*prefix, key)
            who = f"{name}-{identity}" if identity.isdecimal() else normalise_name(identity)
            photos.append(
                PhotoRecord(image_id, who, str(path), None, image_id, offset=picture.offset, length=picture.length)
            )
    if not photos:
        raise DataError("WebDataset tars hold no samples.", got=f"{len(tars)} tars", where=folder)
    return SourceFaces(photos, [], frozenset(photo.identity for photo in photos))


def _samples(path: Path) -> Iterator[tuple[str, str, _Member]]:
    """(key, identity, picture) of each sample of a tar."""
    key: str | None = None
    members: dict[str, _Member] = {}
    seen: set[str] = set()
    try:
        # Members are never written anywhere: of a hostile tar's names nothing becomes a path.
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for info in tar:
                if not info.isreg() or info.issparse() or info.name.rpartition("/")[2].startswith("."):
                    continue
                folder, slash, base = info.name.rpartition("/")
                stem, dot, kind = base.partition(".")
                if folder + slash + stem != key:
                    if key is not None:
                        yield _sample(path, key, members)
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
                yield _sample(path, key, members)
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise DataError("A WebDataset tar is damaged, or compressed.", got=error, where=path) from error


def _sample(path: Path, key: str, members: dict[str, _Member]) -> tuple[str, str, _Member]:
    pictures = [member for kind, member in members.items() if f".{kind}" in PHOTO_SUFFIXES]
    if len(pictures) != 1:
        got = f"{key[:100]}: {', '.join(members) or 'nothing'}"
        raise DataError("A WebDataset sample has not one picture.", got=got, allowed=PHOTO_SUFFIXES, where=path)
    for kind in LABELS:
        label = members.get(kind)
        if label and label.length <= MAX_LABEL_BYTES and (identity := _identity(kind, _read(path, label))):
            return key, identity, pictures[0]
    allowed = f".cls, or .json with {' or '.join(IDENTITY_KEYS)}"
    raise DataError("A WebDataset sample says no identity.", got=key[:100], allowed=allowed, where=path)


def _read(path: Path, member: _Member) -> bytes:
    with path.open("rb") as handle:
        handle.seek(member.offset)
        return handle.read(member.length)


def _identity(kind: str, content: bytes) -> str | None:
    try:
        text = content.decode()
        value = json.loads(text) if kind == "json" else text
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        return None
    if isinstance(value, dict):
        value = next((value[key] for key in IDENTITY_KEYS if isinstance(value.get(key), str | int)), None)
    return str(value).strip() or None if isinstance(value, str | int) else None
