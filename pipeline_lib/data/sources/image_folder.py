"""A folder of photographs, one folder an identity."""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.photos.folder import PHOTO_SUFFIXES, entries
from pipeline_lib.data.sources.shared.beside import (
    ATTRIBUTES_FILE,
    BOXES_FILE,
    PAIRS_FILE,
    read_attributes_file,
    read_boxes_file,
    read_pairs_file,
)
from pipeline_lib.data.sources.shared.image_ids import distinct_image_ids
from pipeline_lib.data.sources.shared.names import normalise_name
from pipeline_lib.data.sources.shared.records import PairRecord, PhotoRecord, SourceFaces, as_photos, make_image_id
from pipeline_lib.data.sources.shared.split_folders import splits_of_folders

log = logging.getLogger("face_verifier")


def read(folder: Path) -> SourceFaces:
    """List `folder`/<identity>/<file> and `folder`/<identity>/<group>/<file>; nothing is opened.

    - A file counts as a photograph by its name (data.photos.folder); of those, one that is none becomes a reject with its
      reason. What systems and programs put beside photographs is left out, and how much that is is logged.
    - A folder with one photograph is kept: it can be in impostor pairs and in training.
    - A group folder (a video, a session) becomes `media`; other photographs are their own.
    - If the folders on top are called as splits are (split_folders), they hold the identity folders.
    - The identity is the folder's name through normalise_name; image ids begin with the name of `folder`.
    - pairs.csv beside the folders gives pairs, attributes.csv what is known of the photographs, boxes.csv where in them
      the person is: see shared/beside.

    Raises:
        DataError: no such folder or none in it, a photograph beside the identity folders, folders nested deeper, folders
            of one split whose names are one identity (all of them), folders called as splits among others; a broken table.
    """
    left_out: Counter[str] = Counter()
    tops, stray = _entries(folder, left_out)
    _check_stray(stray, folder)
    if not tops:
        raise DataError(
            "An image folder holds no identity folder.", allowed="<folder>/<identity>/<photograph>", where=folder
        )
    splits = splits_of_folders([top.name for top in tops], where=folder)
    if splits is None:
        photos = as_photos(_read_identities(folder, tops, None, None, left_out))
    else:
        photos = as_photos(
            photo
            for top, split in zip(tops, splits, strict=True)
            for photo in _read_identities(folder, _identity_folders(top, left_out), top.name, split, left_out)
        )
    own = [folder / name for name in (PAIRS_FILE, ATTRIBUTES_FILE, BOXES_FILE) if (folder / name).is_file()]
    left_out.subtract(path.suffix for path in own)
    left_out = +left_out
    others = ", ".join(f"{kind} {count}" for kind, count in left_out.most_common())
    if not len(photos):
        raise DataError("An image folder holds no photographs.", got=f"other files: {others or 'none'}", where=folder)
    if others:
        log.warning("%s: left out, as their names are no photographs': %s", folder, others)
    pairs = list[PairRecord]()
    if own:
        photos = distinct_image_ids([SourceFaces(photos)], folder)[0].photos
    if folder / ATTRIBUTES_FILE in own:
        photos = read_attributes_file(folder / ATTRIBUTES_FILE, photos)
    if folder / BOXES_FILE in own:
        photos = read_boxes_file(folder / BOXES_FILE, photos)
    if folder / PAIRS_FILE in own:
        photos, pairs = read_pairs_file(folder / PAIRS_FILE, photos)
    return SourceFaces(photos, pairs, frozenset(photos.unique("identity")))


def _identity_folders(top: Path, left_out: Counter[str]) -> list[Path]:
    folders, stray = _entries(top, left_out)
    _check_stray(stray, top)
    return folders


def _read_identities(
    root: Path, identity_folders: list[Path], top: str | None, split: str | None, left_out: Counter[str]
) -> Iterator[PhotoRecord]:
    for identity, identity_folder in _by_identity(identity_folders).items():
        prefix = [root.name or root.resolve().name, *([top] if top else []), identity_folder.name]
        groups, files = _entries(identity_folder, left_out)
        for path in files:
            image_id = make_image_id(*prefix, path.stem)
            yield PhotoRecord(image_id, identity, str(path), split, image_id)
        for group in groups:
            deeper, files = _entries(group, left_out)
            if deeper:
                raise DataError(
                    "An image folder is nested too deep.",
                    got=deeper[0],
                    allowed="<identity>/<group>/<file>",
                    where=root,
                )
            media = make_image_id(*prefix, group.name)
            for path in files:
                yield PhotoRecord(make_image_id(*prefix, group.name, path.stem), identity, str(path), split, media)


def _by_identity(identity_folders: list[Path]) -> dict[str, Path]:
    found: dict[str, list[Path]] = {}
    for path in identity_folders:
        found.setdefault(normalise_name(path.name), []).append(path)
    if nameless := found.get(""):
        raise DataError(
            "An identity folder's name has no letter or digit.", got=nameless[0].name, where=nameless[0].parent
        )
    if several := [
        f"{' and '.join(p.name for p in paths)} ({name})" for name, paths in found.items() if len(paths) > 1
    ]:
        raise DataError(
            "Two folders are one identity; join or rename them.",
            got="; ".join(several),
            where=identity_folders[0].parent,
        )
    return {identity: path for identity, (path,) in found.items()}


def _check_stray(photographs: list[Path], folder: Path) -> None:
    if stray := [path.name for path in photographs if path.suffix.lower() in PHOTO_SUFFIXES]:
        raise DataError(
            "A photograph lies outside an identity folder.", got=stray[0], allowed="<folder>/<identity>/", where=folder
        )


def _entries(folder: Path, left_out: Counter[str]) -> tuple[list[Path], list[Path]]:
    try:
        return entries(folder, left_out)
    except OSError as error:
        raise DataError("An image folder cannot be read.", got=error.strerror, where=folder) from error
