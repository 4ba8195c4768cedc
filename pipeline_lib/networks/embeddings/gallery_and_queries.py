"""Which images make the gallery, and which are looked for in it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import read_table
from pipeline_lib.core.texts import MISSING, Texts
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.embed_shards import Part
from pipeline_lib.schemas.manifest import PROFILE
from pipeline_lib.schemas.occlusions import OCCLUSIONS


def gallery_rows(images: ShardImages, drawn: pa.Table) -> list[int]:
    """Rows of the aligned images that queries are looked for among, in shard order: of split test, without the profiles that
    are queries themselves.

    Args:
        images: the aligned set.
        drawn: schemas.occlusions.OCCLUSIONS, of stage occlude.

    Raises:
        DataError: there is none.
    """
    profiles = Texts(drawn.filter(pc.equal(drawn["kind"], PROFILE))["image_id"])
    is_test = pc.equal(images.splits.column, "test").to_numpy(zero_copy_only=False)
    rows: list[int] = np.flatnonzero(is_test & ~images.image_ids.is_in(profiles)).tolist()
    if not rows:
        got = f"{int(is_test.sum())} images of split test, {len(profiles)} of them profiles"
        raise DataError("The gallery is empty.", got=got, allowed="images of split test", where=images.folder)
    return rows


def query_part(folder: Path) -> Part:
    """The images of an occluded set that are queries, in shard order, with their kinds.

    Args:
        folder: of stage occlude, or an entry's of stage attack.

    Raises:
        DataError: a table is missing or broken, a query is named twice, or has no image.
    """
    images, drawn = ShardImages(folder), read_table(folder / "occlusions.parquet", OCCLUSIONS)
    drawn = drawn.filter(pc.equal(drawn["purpose"], "query"))
    keys = drawn["key"].to_pylist()
    kind_of = dict(zip(keys, drawn["kind"].to_pylist(), strict=True))
    if len(kind_of) < len(keys):
        twice = sorted(key for key in kind_of if keys.count(key) > 1)[:5]
        raise DataError("A query is named twice.", got=twice, where=folder / "occlusions.parquet")
    found = images.keys.rows(keys)
    if (found == MISSING).any():
        missing = sorted(keys[place] for place in np.flatnonzero(found == MISSING))[:5]
        raise DataError("A query has no image; rerun the stage that drew it.", got=missing, where=folder)
    rows: list[int] = np.sort(found).tolist()
    return Part(images, rows, [kind_of[images.keys[row]] for row in rows])
