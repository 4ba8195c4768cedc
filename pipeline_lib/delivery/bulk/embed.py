"""A folder of photographs to a table of their embeddings."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import output_file
from pipeline_lib.delivery.bulk.features import embed_photographs
from pipeline_lib.delivery.identify.gallery import list_gallery
from pipeline_lib.delivery.identify.model import Opened


def embed_folder(opened: Opened, folder: Path, out: Path, num_workers: int) -> tuple[int, int]:
    """Write one row a photograph of `folder` (see list_gallery): its path there, vector float32, error.

    The vector is what the score compares, not normalised; null where the photograph cannot be used, and error says why.
    A run that was stopped goes on from `<out>.partial`.

    Args:
        opened: the verifier.
        folder: of photographs.
        out: a Parquet file.
        num_workers: processes that detect.

    Returns:
        how many photographs have a vector, and how many have not.

    Raises:
        DataError: see list_gallery; there is no photograph; `out` cannot be written; the score compares no such vectors.
    """
    if opened.verifier.scorer.needs.network is None:
        problem = "The model compares regions or pixels, not one vector a face."
        raise DataError(problem, got=opened.verifier.settings.score, allowed="a model of a network's embeddings")
    listing = list_gallery(folder)
    if not listing.photographs and not listing.unusable:
        raise DataError("There is no photograph.", where=folder)
    keys = [photograph.key for photograph in listing.photographs]
    with output_file(out) as partial:
        partial.touch()
        scratch = out.with_name(f"{out.name}.partial")
        found = embed_photographs([folder / key for key in keys], opened, scratch, num_workers)
        paths = [str((folder / key).absolute()) for key in keys]
        rows = [found.row_of.get(path) for path in paths]
        vectors = None if found.faces is None else found.faces.vectors
        lists = [None if row is None or vectors is None else vectors[row].astype(np.float32) for row in rows]
        errors = [None if row is not None else found.problems[path] for row, path in zip(rows, paths, strict=True)]
        refused = [(one.key, f"{one.reason.replace('_', ' ')} ({one.detail})") for one in listing.unusable]
        table = pa.table(
            {
                "path": pa.array([*keys, *(key for key, _ in refused)], pa.string()),
                "vector": pa.array([*lists, *[None] * len(refused)], pa.list_(pa.float32())),
                "error": pa.array([*errors, *(error for _, error in refused)], pa.string()),
            },
            metadata={"model": opened.name, "digest": opened.digest},
        )
        pq.write_table(table, partial, compression="zstd")
    shutil.rmtree(scratch)
    num = sum(row is not None for row in rows)
    return num, table.num_rows - num
