"""The pairs that can be scored: both faces, images or templates of many, have an aligned image."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import read_table
from pipeline_lib.core.texts import MISSING, Texts
from pipeline_lib.data.shards.images import is_image
from pipeline_lib.data.sources.shared.aligned_pairs import usable_pairs
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.shard_index import SHARD_INDEX
from pipeline_lib.schemas.templates import TEMPLATES, TEMPLATES_FILE


@dataclass(frozen=True)
class PairSet:
    """Pairs of faces.

    Attributes:
        table: schemas.pairs.PAIRS, those that can be scored.
        num_dropped: protocol -> pairs that cannot, for an image that was not aligned.
        templates: template -> aligned image -> what its feature is multiplied with in the template's, its weight over the number
            of images of its medium; an id that is none names an image.
        image_ids, identities: of the aligned images.
    """

    table: pa.Table
    num_dropped: Mapping[str, int]
    templates: Mapping[str, Mapping[str, float]]
    image_ids: Texts
    identities: Texts

    def parts(self, face: str) -> Mapping[str, float]:
        """The images that a face is the sum of, with what each is multiplied with: a template's, or the image itself."""
        return self.templates.get(face, {face: 1.0})

    def images(self, faces: Iterable[str]) -> list[str]:
        """The images that faces are made of, each once, in the order in which they are met."""
        return list(dict.fromkeys(image for face in dict.fromkeys(faces) for image in self.parts(face)))

    def owners(self, faces: Iterable[str]) -> Texts:
        """Whose face each is."""
        first = [next(iter(self.parts(face))) for face in faces]
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
    index = index.filter(is_image(index))
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


def _read_templates(path: Path, aligned: Texts) -> dict[str, dict[str, float]]:
    if not path.exists():  # most sources have pairs of images only
        return {}
    table = read_table(path, TEMPLATES)
    table = table.filter(pc.is_in(table["image_id"], aligned.column))
    is_weight = pc.and_(pc.is_finite(table["weight"]), pc.greater(table["weight"], 0))
    if not pc.all(pc.fill_null(is_weight, False), min_count=0).as_py():
        raise DataError("A weight of a template is not above 0.", where=path)
    rows = list(zip(*(table[name].to_pylist() for name in TEMPLATES.names), strict=True))
    num_of = Counter((template, media) for template, _, media, _ in rows)
    templates: dict[str, dict[str, float]] = {}
    for template, image_id, media, weight in rows:
        shares = templates.setdefault(template, {})
        shares[image_id] = shares.get(image_id, 0.0) + weight / num_of[template, media]
    names = list(templates)
    both = sorted(names[place] for place in np.flatnonzero(aligned.rows(names) != MISSING))
    if both:
        raise DataError("A template has the name of an image.", got=both[:5], allowed="names of its own", where=path)
    return templates
