"""Image ids that are one photograph's each, whatever files are called."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.packed import repeated
from pipeline_lib.core.urls import is_url
from pipeline_lib.data.sources.shared.records import PhotoRecord, SourceFaces, as_photos

MAX_NAMED = 20


def distinct_image_ids(sources: Sequence[SourceFaces], root: Path) -> list[SourceFaces]:
    """The same sources, ids that several photographs would have made distinct by a hash of each one's place below `root`.

    a.jpg and a.png, `a (1)` and `a [1]`, the folders family of two sources: all of a group get a hash, so no id depends on
    which came first. An id that no other photograph has stays as it is, and so do those of a source with pairs of its own,
    which name them. A group's `media` goes the same way.
    """
    shared_ids = repeated([faces.photos for faces in sources], "image_id")
    shared_media = _shared_groups(sources)

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

    if not shared_ids and not shared_media:
        return list(sources)
    return [
        faces if faces.pairs else replace(faces, photos=as_photos(map(distinct, faces.photos))) for faces in sources
    ]


def check_image_ids(sources: Sequence[SourceFaces]) -> None:
    """Raises DataError where two photographs have one id; names all of them, the first MAX_NAMED ids of many."""
    shared_ids = repeated([faces.photos for faces in sources], "image_id")
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


def _shared_groups(sources: Sequence[SourceFaces]) -> set[str]:
    """The media of several photographs each that lie in several folders, or are called as a photograph that has none."""
    folder_of, shared = dict[str, str](), set[str]()
    grouped = [
        faces.photos for faces in sources if any(not b["media"].equals(b["image_id"]) for b in faces.photos.batches())
    ]
    for image_id, media, path in chain.from_iterable(photos.columns("image_id", "media", "path") for photos in grouped):
        if media != image_id:
            folder = os.path.dirname(os.fsdecode(path))
            if folder_of.setdefault(media, folder) != folder:
                shared.add(media)
    for image_id, media in chain.from_iterable(f.photos.columns("image_id", "media") for f in sources if folder_of):
        if media == image_id and media in folder_of:
            shared.add(media)
    return shared


def _media_place(photo: PhotoRecord) -> str:
    return photo.path if photo.media == photo.image_id else os.path.dirname(photo.path)


def _hash(path: str, root: Path, offset: int | None = None) -> str:
    below = path if is_url(path) else Path(os.path.relpath(path, root)).as_posix()
    place = below + ("" if offset is None else f"#{offset}")
    return hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:8]
