"""Each configured source, read by its kind.

A kind is a module of data/sources, its name the one in ingest.sources. It offers one of three functions:

    read(folder) -> SourceFaces            lists the photographs that lie below a folder; a module that has FETCHES downloads
                                           them first where the folder is absent or empty
                                           (of a module that has READS_URLS it may be a URL)
    unpack(place, folder, write)           the same for what cannot be read where it lies: photographs go into files in a folder,
        -> SourceFaces                     which it makes; without `write` it says where they would be
    make(settings, folder) -> SourceFaces  puts photographs of its own making into an empty folder; its `Settings` are the
                                           section of params.yaml that has the kind's name, and plan(settings, folder)
                                           lists the same photographs without making them
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import atomic_dir
from pipeline_lib.core.kinds import checked, load_kind
from pipeline_lib.core.urls import check_url, is_url
from pipeline_lib.data.sources.shared.files import File
from pipeline_lib.data.sources.shared.image_ids import distinct_image_ids
from pipeline_lib.data.sources.shared.records import SourceFaces, as_photos
from pipeline_lib.params.ingest import DETECT, Source

KINDS = "data.sources"


def read_sources(
    sources: Sequence[Source], sections: Mapping[str, object], root: Path, photos: Path
) -> list[tuple[Source, SourceFaces]]:
    """Read every source below `root`; what a kind makes goes into `photos`, which is whole or absent.

    No two photographs have one image id (distinct_image_ids).

    Args:
        sources: of ingest.sources.
        sections: what params.yaml says of the kinds that have settings, by the kind's name.
        root: ingest.root; a source's path starts there.
        photos: is replaced if it exists, and empty if no kind makes or unpacks photographs.

    Raises:
        ParamsError: a kind that does not exist, or its settings are wrong.
        DataError: a source is given twice or breaks its layout.
        DownloadError: a source is not here and could not be fetched.
    """
    modules = {source.kind: load_kind(KINDS, source.kind, where="ingest.sources") for source in sources}
    made = {kind for kind, module in modules.items() if hasattr(module, "make")}
    places = [(source.kind, "" if source.kind in made else source.path) for source in sources]
    if len(set(places)) != len(places):
        raise DataError("A source is given twice.", got=places, where="ingest.sources")
    with atomic_dir(photos) as partial:
        read = []
        for source in sources:
            module = modules[source.kind]
            if source.kind in made:
                settings = checked(module.Settings, sections.get(source.kind, {}), where=f"params.yaml, {source.kind}")
                read.append(_moved(module.make(settings, partial / source.kind), partial, photos))
            elif hasattr(module, "unpack"):
                target = partial / f"{source.kind}-{len(read)}"
                unpacked = module.unpack(source_place(source, module, root), target, write=True)
                read.append(_moved(unpacked, partial, photos))
            else:
                read.append(module.read(source_place(source, module, root)))
        read = [_with_faces(source, faces) for source, faces in zip(sources, read, strict=True)]
        return list(zip(sources, distinct_image_ids(read, root), strict=True))


def source_place(source: Source, module: ModuleType, root: Path) -> File:
    """Where a source lies: a path below `root`, or a URL where its kind reads such.

    Raises:
        DataError: a URL that is none (see core.urls.check_url), or the kind reads files of this machine only.
    """
    if not is_url(source.path):
        return root / source.path
    check_url(source.path)
    if not hasattr(module, "READS_URLS"):
        allowed = "recordio, webdataset, parquet, verification_bin; or a folder of this machine"
        raise DataError(f"A source of kind {source.kind} is read from files.", got=source.path, allowed=allowed)
    return source.path


def _with_faces(source: Source, faces: SourceFaces) -> SourceFaces:
    if source.faces == DETECT:
        return faces
    return replace(faces, photos=faces.photos.replaced("faces", {DETECT: source.faces}))


def _moved(faces: SourceFaces, old: Path, new: Path) -> SourceFaces:
    moved = (replace(photo, path=str(new / Path(photo.path).relative_to(old))) for photo in faces.photos)
    return replace(faces, photos=as_photos(moved))
