"""A folder of photographs, one folder an identity."""

from collections.abc import Iterator
from pathlib import Path

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources.shared.records import PhotoRecord, SourceFaces, make_image_id, normalise_name
from pipeline_lib.schemas.manifest import SPLITS

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".pgm", ".ppm")


def read(folder: Path) -> SourceFaces:
    """List `folder`/<identity>/<file> and `folder`/<identity>/<group>/<file>; nothing is opened.

    - Every file in an identity's folder counts as a photograph, whatever its name: one that is none becomes a reject with its
      reason. Names that begin with a dot are left out (systems put them there), and files without a photograph's suffix beside
      the identity folders (a README).
    - A folder with one photograph is kept: it can be in impostor pairs and in training.
    - A group folder (a video, a session) becomes `media`; other photographs are their own.
    - If the folders on top are called train, val or test, all of them, they are the splits and hold the identity folders.
    - The identity is the folder's name through normalise_name; image ids begin with the name of `folder`.

    Raises:
        DataError: no such folder or none in it, a photograph beside the identity folders, folders nested deeper, two folders
            of one split whose names are one identity.
    """
    tops = _folders(folder)
    if not tops:
        raise DataError(
            "An image folder holds no identity folder.", allowed="<folder>/<identity>/<photograph>", where=folder
        )
    if all(top.name in SPLITS for top in tops):
        photos = [photo for top in tops for photo in _read_identities(folder, top, top.name)]
    else:
        photos = list(_read_identities(folder, folder, None))
    if not photos:
        raise DataError("An image folder holds no photographs.", got="empty identity folders only", where=folder)
    return SourceFaces(photos, [], frozenset(photo.identity for photo in photos))


def _read_identities(root: Path, parent: Path, split: str | None) -> Iterator[PhotoRecord]:
    seen: dict[str, Path] = {}
    for identity_folder in _folders(parent):
        identity = normalise_name(identity_folder.name)
        if not identity:
            raise DataError("An identity folder's name has no letter or digit.", got=identity_folder.name, where=parent)
        if identity in seen:
            raise DataError(
                "Two folders are one identity; join or rename them.",
                got=f"{seen[identity].name} and {identity_folder.name} (both {identity})",
                where=parent,
            )
        seen[identity] = identity_folder
        prefix = [root.name or root.resolve().name, *([split] if split else []), identity_folder.name]
        for path in _files(identity_folder):
            image_id = make_image_id(*prefix, path.stem)
            yield PhotoRecord(image_id, identity, path, split, image_id)
        for group in _folders(identity_folder, photos_beside=True):
            if deeper := _folders(group, photos_beside=True):
                raise DataError(
                    "An image folder is nested too deep.",
                    got=deeper[0],
                    allowed="<identity>/<group>/<file>",
                    where=root,
                )
            media = make_image_id(*prefix, group.name)
            for path in _files(group):
                yield PhotoRecord(make_image_id(*prefix, group.name, path.stem), identity, path, split, media)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError("An image folder cannot be read.", got=error.strerror, where=folder) from error


def _files(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if not path.is_dir()]


def _folders(folder: Path, photos_beside: bool = False) -> list[Path]:
    entries = _entries(folder)
    stray = [path for path in entries if path.suffix.lower() in PHOTO_SUFFIXES and not path.is_dir()]
    if stray and not photos_beside:
        raise DataError(
            "A photograph lies outside an identity folder.",
            got=stray[0].name,
            allowed="<folder>/<identity>/",
            where=folder,
        )
    return [path for path in entries if path.is_dir()]
