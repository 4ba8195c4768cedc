"""Image ids that are one photograph's each, whatever files are called."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources.shared.records import PhotoRecord, SourceFaces

MAX_NAMED = 20


def distinct_image_ids(sources: Sequence[SourceFaces], root: Path) -> list[SourceFaces]:
    """The same sources, ids that several photographs would have made distinct by a hash of each one's place below `root`.

    a.jpg and a.png, `a (1)` and `a [1]`, the folders family of two sources: all of a group get a hash, so no id depends on
    which came first. An id that no other photograph has stays as it is, and so do those of a source with pairs of its own,
    which name them. A group's `media` goes the same way.
    """
    shared_ids = _repeated(photo.image_id for faces in sources for photo in faces.photos)
    shared_media, place_of = set[str](), dict[str, str]()
    for faces in sources:
        for photo in faces.photos:
            place = _media_place(photo)
            if place_of.setdefault(photo.media, place) != place:
                shared_media.add(photo.media)

    def distinct(photo: PhotoRecord) -> PhotoRecord:
        image_id, media = photo.image_id, photo.media
        if image_id in shared_ids:
            image_id = f"{image_id}-{_hash(photo.path, root, photo.offset)}"
        if media == photo.image_id:
            media = image_id
        elif media in shared_media:
            media = f"{media}-{_hash(_media_place(photo), root)}"
        return (
            photo
            if (image_id, media) == (photo.image_id, photo.media)
            else replace(photo, image_id=image_id, media=media)
        )

    return [
        faces if faces.pairs else replace(faces, photos=[distinct(photo) for photo in faces.photos])
        for faces in sources
    ]


def check_image_ids(sources: Sequence[SourceFaces]) -> None:
    """Raises DataError where two photographs have one id; names all of them, the first MAX_NAMED ids of many."""
    shared_ids = _repeated(photo.image_id for faces in sources for photo in faces.photos)
    paths: defaultdict[str, list[str]] = defaultdict(list)
    for faces in sources if shared_ids else ():
        for photo in faces.photos:
            if photo.image_id in shared_ids:
                paths[photo.image_id].append(photo.shown_place)
    clashes = [f"{' and '.join(several)} ({image_id})" for image_id, several in paths.items()]
    if clashes:
        more = [f"and {len(clashes) - MAX_NAMED} more"] if len(clashes) > MAX_NAMED else []
        raise DataError(
            f"{len(clashes)} image ids would be those of several photographs; rename the files.",
            got="\n    ".join(["", *clashes[:MAX_NAMED], *more]),
        )


def _repeated(names: Iterable[str]) -> set[str]:
    """Those that come more than once."""
    seen, repeated = set[str](), set[str]()
    for name in names:
        (repeated if name in seen else seen).add(name)
    return repeated


def _media_place(photo: PhotoRecord) -> str:
    return photo.path if photo.media == photo.image_id else os.path.dirname(photo.path)


def _hash(path: str, root: Path, offset: int | None = None) -> str:
    place = Path(os.path.relpath(path, root)).as_posix() + ("" if offset is None else f"#{offset}")
    return hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:8]
