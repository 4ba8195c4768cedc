"""The pairs that can be scored: both faces, images or templates of many, have an aligned image."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import read_table
from pipeline_lib.core.texts import MISSING, Texts
from pipeline_lib.data.sources.shared.aligned_pairs import usable_pairs
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.shard_index import SHARD_INDEX
from pipeline_lib.schemas.templates import TEMPLATES

TEMPLATES_FILE = "templates.parquet"


@dataclass(frozen=True)
class PairSet:
    """Pairs of faces.

    Attributes:
        table: schemas.pairs.PAIRS, those that can be scored.
        num_dropped: protocol -> pairs that cannot, for an image that was not aligned.
        templates: template -> media -> its aligned images; an id that is none names an image.
        image_ids, identities: of the aligned images.
    """

    table: pa.Table
    num_dropped: Mapping[str, int]
    templates: Mapping[str, Mapping[str, Sequence[str]]]
    image_ids: Texts
    identities: Texts

    def media(self, face: str) -> list[Sequence[str]]:
        """A face's images by medium: a template's, or the image itself."""
        template = self.templates.get(face)
        return [[face]] if template is None else list(template.values())

    def images(self, faces: Iterable[str]) -> list[str]:
        """The images that faces are made of, each once, in the order in which they are met."""
        found = (image for face in faces for images in self.media(face) for image in images)
        return list(dict.fromkeys(found))

    def owners(self, faces: Iterable[str]) -> Texts:
        """Whose face each is."""
        first = [self.media(face)[0][0] for face in faces]
        return self.identities.take(self.image_ids.rows(first))

    def by_protocol(self) -> dict[str, list[str]]:
        """The images of each protocol's pairs, each once."""
        return {name: self.images(faces_of(self.table.take(rows))) for name, rows in protocol_rows(self.table)}

    @property
    def people(self) -> set[str]:
        """The identities of all images in the pairs."""
        return set(self.identities.take(self.image_ids.rows(self.images(faces_of(self.table)))))


def read_pairs(pairs: Path, aligned: Path) -> PairSet:
    """Read a table of pairs, and beside it the templates, where there are some (ingest's folder).

    Args:
        pairs: pairs.parquet.
        aligned: the align stage's folder.

    Raises:
        DataError: a table is missing or breaks its contract; a template is named as an image is; see usable_pairs.
    """
    index = read_table(aligned / "index.parquet", SHARD_INDEX)
    index = index.filter(pc.equal(index["member"], "png"))
    image_ids = Texts(index["image_id"])
    templates = _read_templates(pairs.with_name(TEMPLATES_FILE), image_ids)
    faces = pa.concat_arrays([image_ids.column, pa.array(list(templates), pa.string())])
    table, num_dropped = usable_pairs(read_table(pairs, PAIRS), faces)
    return PairSet(table, num_dropped, templates, image_ids, Texts(index["identity"]))


def faces_of(table: pa.Table) -> Texts:
    """The distinct faces of a table of pairs, in the order in which they are met, all of image_a first."""
    return Texts(pc.unique(pa.chunked_array([*table["image_a"].chunks, *table["image_b"].chunks], pa.string())))


def protocol_rows(table: pa.Table) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
    """(name, int64 rows) of each protocol of a table of pairs, in the order of their first pairs."""
    names = table["protocol"].combine_chunks().dictionary_encode()
    codes = names.indices.to_numpy(zero_copy_only=False)
    for code, name in enumerate(names.dictionary.to_pylist()):
        yield name, np.flatnonzero(codes == code)


def _read_templates(path: Path, aligned: Texts) -> dict[str, dict[str, list[str]]]:
    if not path.exists():  # most sources have pairs of images only
        return {}
    templates: dict[str, dict[str, list[str]]] = {}
    table = read_table(path, TEMPLATES)
    table = table.filter(pc.is_in(table["image_id"], aligned.column))
    columns = (Texts(table[name]) for name in ("template", "media", "image_id"))
    for template, media, image_id in zip(*columns, strict=True):
        templates.setdefault(template, {}).setdefault(media, []).append(image_id)
    names = list(templates)
    both = sorted(names[place] for place in np.flatnonzero(aligned.rows(names) != MISSING))
    if both:
        raise DataError("A template has the name of an image.", got=both[:5], allowed="names of its own", where=path)
    return templates
