"""Image ids that are one photograph's each, whatever files are called."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
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
    num_photos = Counter(photo.image_id for faces in sources for photo in faces.photos)
    places: defaultdict[str, set[Path]] = defaultdict(set)
    for faces in sources:
        for photo in faces.photos:
            places[photo.media].add(_media_place(photo))

    def distinct(photo: PhotoRecord) -> PhotoRecord:
        image_id, media = photo.image_id, photo.media
        if num_photos[image_id] > 1:
            image_id = f"{image_id}-{_hash(photo.path, root)}"
        if media == photo.image_id:
            media = image_id
        elif len(places[media]) > 1:
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
    paths: defaultdict[str, list[str]] = defaultdict(list)
    for faces in sources:
        for photo in faces.photos:
            paths[photo.image_id].append(str(photo.path))
    clashes = [f"{' and '.join(several)} ({image_id})" for image_id, several in paths.items() if len(several) > 1]
    if clashes:
        more = [f"and {len(clashes) - MAX_NAMED} more"] if len(clashes) > MAX_NAMED else []
        raise DataError(
            f"{len(clashes)} image ids would be those of several photographs; rename the files.",
            got="\n    ".join(["", *clashes[:MAX_NAMED], *more]),
        )


def _media_place(photo: PhotoRecord) -> Path:
    return photo.path if photo.media == photo.image_id else photo.path.parent


def _hash(path: Path, root: Path) -> str:
    place = Path(os.path.relpath(path, root)).as_posix()
    return hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:8]
