"""Every Parquet schema of the pipeline, and the one way tables are written and read."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import atomic_file

# x0 y0 ... x4 y4: left eye, right eye, nose, mouth corners, left and right as seen in the picture.
LANDMARKS = pa.list_(pa.float32(), 10)
SPLITS = ("train", "val", "test")

# One row a photograph. `uri` is a path as opened from the repository root. `media` groups the frames of one video or the
# photographs of one session (image_id where there is no such group). `landmarks` in pixels of the upright photograph.
MANIFEST = pa.schema(
    [
        ("image_id", pa.string()),
        ("identity", pa.string()),
        ("split", pa.string()),
        ("media", pa.string()),
        ("uri", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("sha256", pa.string()),
        ("landmarks", LANDMARKS),
    ]
)

# One row a verification pair. `fold` counts from 0 within its protocol.
PAIRS = pa.schema(
    [
        ("protocol", pa.string()),
        ("fold", pa.int32()),
        ("image_a", pa.string()),
        ("image_b", pa.string()),
        ("genuine", pa.bool_()),
    ]
)

# One row an input that did not come out of a stage.
REJECTS = pa.schema(
    [
        ("image_id", pa.string()),
        ("uri", pa.string()),
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)

# One row a face that the demo's renderer drew (photos/truth.parquet), counted from the left; pictures of nobody have no row.
TRUTH = pa.schema(
    [
        ("image_id", pa.string()),
        ("face_index", pa.int32()),
        ("box", pa.list_(pa.float32(), 4)),  # x0 y0 x1 y1
        ("landmarks", LANDMARKS),
    ]
)

# One row a member of a shard set; `offset` and `size` give the member's bytes inside the tar. `key` is the WebDataset key,
# `member` what follows its first dot ("png"). `landmarks` in pixels of the aligned 112x112 image, `score` the detector's.
SHARD_INDEX = pa.schema(
    [
        ("key", pa.string()),
        ("member", pa.string()),
        ("shard", pa.string()),
        ("offset", pa.int64()),
        ("size", pa.int64()),
        ("image_id", pa.string()),
        ("identity", pa.string()),
        ("split", pa.string()),
        ("landmarks", LANDMARKS),
        ("score", pa.float32()),
    ]
)

# One row an occluded image: what was drawn on which aligned image. `drawn` is JSON.
OCCLUSIONS = pa.schema(
    [
        ("key", pa.string()),
        ("image_id", pa.string()),
        ("kind", pa.string()),
        ("purpose", pa.string()),  # train | query
        ("drawn", pa.string()),
    ]
)

# One row a candidate of an occluded query, in the order of queries and of stage 1. Ranks count from 1. `num_relevant` is
# the number of gallery images of the query's identity, without the query's own original, which is not in its gallery.
RANKS = pa.schema(
    [
        ("query_key", pa.string()),
        ("kind", pa.string()),
        ("gallery_key", pa.string()),
        ("genuine", pa.bool_()),
        ("num_relevant", pa.int32()),
        ("rank_cosine", pa.int32()),
        ("rank_reranked", pa.int32()),
        ("cosine", pa.float32()),
        ("emd", pa.float32()),  # EMD similarity; null beyond rerank.top_k
        ("reranked", pa.float32()),  # alpha * emd + (1 - alpha) * cosine; null beyond rerank.top_k
    ]
)

# One row a genuine pair and method: areas under the insertion and deletion curves, both images of the pair averaged.
FAITHFULNESS = pa.schema(
    [
        ("image_a", pa.string()),
        ("image_b", pa.string()),
        ("method", pa.string()),
        ("insertion_auc", pa.float64()),
        ("deletion_auc", pa.float64()),
    ]
)


def write_table(path: Path, table: pa.Table, schema: pa.Schema) -> None:
    """Write `table` as Parquet after checking that it has exactly the columns of `schema`.

    Raises:
        DataError: a column is missing, extra, or of another type.
    """
    with atomic_file(path) as partial:
        # Without the Arrow schema in the file, fixed-size lists come back as lists and _checked makes them fixed again: Arrow
        # 25 writes a null one but cannot read it (apache/arrow issue 35692), and landmarks are null for most sources.
        pq.write_table(_checked(table, schema, path), partial, compression="zstd", store_schema=False)


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """Read a Parquet table and check it against `schema`.

    Raises:
        DataError: the file is missing, is not Parquet, or its columns differ.
    """
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise DataError("A table is missing; run the stage that writes it.", where=path) from None
    except pa.ArrowInvalid as error:
        raise DataError(
            "A file is not a readable Parquet table; rerun the stage that writes it.", got=error, where=path
        ) from error
    return _checked(table, schema, path)


def table_from_rows(rows: list[dict[str, object]], schema: pa.Schema) -> pa.Table:
    """Build a table from row dictionaries; an empty list gives an empty table of the right schema."""
    return pa.Table.from_pylist(rows, schema=schema)


def _checked(table: pa.Table, schema: pa.Schema, path: Path) -> pa.Table:
    missing = [name for name in schema.names if name not in table.column_names]
    extra = [name for name in table.column_names if name not in schema.names]
    if missing or extra:
        raise DataError(
            "A table's columns differ from the contract.", got=table.column_names, allowed=schema.names, where=path
        )
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise DataError("A table's column has another type.", got=error, allowed=schema, where=path) from error
