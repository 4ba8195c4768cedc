"""Each configured source, read by its own reader."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import atomic_dir
from pipeline_lib.data.sources.cfp import read_cfp
from pipeline_lib.data.sources.image_folder import read_image_folder
from pipeline_lib.data.sources.lfw import read_lfw
from pipeline_lib.data.sources.manifest import SourceFaces
from pipeline_lib.data.sources.synthetic import render_synthetic
from pipeline_lib.params.load import Source, Synthetic

READERS: dict[str, Callable[[Path], SourceFaces]] = {
    "image_folder": read_image_folder,
    "lfw": read_lfw,
    "cfp": read_cfp,
}


def read_sources(
    sources: Sequence[Source], synthetic: Synthetic, root: Path, photos: Path
) -> list[tuple[Source, SourceFaces]]:
    """Read every source below `root`; the synthetic one reads nothing and renders into `photos`, which is whole or absent.

    Raises:
        DataError: a source is given twice or breaks its layout.
        DownloadError: LFW is not here and could not be fetched.
    """
    places = [(source.kind, source.path) for source in sources]
    if len(set(places)) != len(places) or sum(kind == "synthetic" for kind, _ in places) > 1:
        raise DataError("A source is given twice.", got=places, where="ingest.sources")
    with atomic_dir(photos) as partial:
        return [
            (source, _moved(render_synthetic(synthetic, partial), partial, photos))
            if source.kind == "synthetic"
            else (source, READERS[source.kind](root / source.path))
            for source in sources
        ]


def _moved(faces: SourceFaces, old: Path, new: Path) -> SourceFaces:
    return replace(faces, photos=[replace(photo, path=new / photo.path.relative_to(old)) for photo in faces.photos])
