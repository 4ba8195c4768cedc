"""Records of sources as the tables of schemas/."""

from collections.abc import Sequence

import pyarrow as pa

from pipeline_lib.data.sources.shared.records import PairRecord, Photos, TemplateRecord
from pipeline_lib.schemas.attributes import ATTRIBUTES
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.templates import TEMPLATES


def pair_table(pairs: Sequence[PairRecord]) -> pa.Table:
    """A table of schemas.pairs.PAIRS; a column at a time, for IJB-B has eight million pairs."""
    return pa.table({name: [getattr(pair, name) for pair in pairs] for name in PAIRS.names}, schema=PAIRS)


def template_table(templates: Sequence[TemplateRecord]) -> pa.Table:
    """A table of schemas.templates.TEMPLATES."""
    return pa.table({name: [getattr(row, name) for row in templates] for name in TEMPLATES.names}, schema=TEMPLATES)


def attribute_table(photos: Photos) -> pa.Table:
    """A table of schemas.attributes.ATTRIBUTES."""
    rows = [
        (image_id, name, value)
        for image_id, said in photos.columns("image_id", "attributes")
        for name, value in said or ()
    ]
    columns = zip(*rows, strict=True) if rows else ((),) * len(ATTRIBUTES.names)
    return pa.table(dict(zip(ATTRIBUTES.names, columns, strict=True)), schema=ATTRIBUTES)
