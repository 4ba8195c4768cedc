"""The features of a gallery's faces on disk, so that a second search looks at none of its photographs again."""

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import atomic_file
from pipeline_lib.data.shards.images import decode_image

FORMAT = "1"  # of the file, and of how a photograph becomes a face: a change of either makes this another number
FLOATS = pa.list_(pa.float32())
# `reason` and `detail` are null of a usable photograph, face (PNG), vector and patches of another; a score needs some of these.
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("key", "reason", "detail")),
        *((name, pa.int64()) for name in ("size", "changed_ns", "entry_changed_ns", "num_patches")),
        ("face", pa.binary()),
        ("vector", FLOATS),
        ("patches", FLOATS),
    ]
)
STAMP = ("size", "changed_ns", "entry_changed_ns")
SMALL = [name for name in SCHEMA.names if name != "face"]
ROWS_A_GROUP = 256
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600  # features of faces can be searched for as the faces can
log = logging.getLogger("face_verifier")


def cache_file(folder: Path | None, gallery: Path, digest: str) -> Path:
    """Where the features of a gallery by a model are kept.

    Args:
        folder: of all such files; None for $XDG_CACHE_HOME/face-verifier/galleries, else ~/.cache/face-verifier/galleries.
        gallery: the folder.
        digest: of the model (model.Opened).

    Raises:
        DataError: the file would lie in the gallery.
    """
    base = folder or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "face-verifier", "galleries")
    root = gallery.resolve()
    if base.resolve().is_relative_to(root):
        raise DataError("The cache would lie in the gallery.", got=base, allowed="another folder", where="--cache")
    name = hashlib.sha256(b"\0".join([os.fsencode(root), digest.encode(), FORMAT.encode()])).hexdigest()[:32]
    return base / f"{name}.parquet"


def read_cache(path: Path, with_faces: bool) -> pa.Table:
    """The table, with or without its faces; an empty one where there is none, or a damaged one, of which a warning says so."""
    columns = SCHEMA.names if with_faces else SMALL
    schema = pa.schema([SCHEMA.field(name) for name in columns])
    try:
        table = pq.read_table(path, columns=columns, page_checksum_verification=True)
        if table.schema == schema:
            return table
        problem = "other columns"
    except FileNotFoundError:
        return schema.empty_table()
    except (pa.ArrowException, OSError) as error:
        problem = str(error).splitlines()[0]
    log.warning("The gallery's cache is damaged and is made anew: %s (%s)", path, problem)
    return schema.empty_table()


def read_faces(path: Path, keys: Sequence[str]) -> list[npt.NDArray[np.uint8]]:
    """The aligned faces of some usable photographs, uint8 (112, 112, 3) each.

    Raises:
        DataError: the file is gone or damaged, or another process has replaced it by one without them.
    """
    try:
        table = pq.read_table(path, columns=["key", "face"], page_checksum_verification=True)
        row_of = {key: row for row, key in enumerate(table["key"].to_pylist())}
        return [decode_image(table["face"][row_of[key]].as_py() or b"") for key in keys]
    except (pa.ArrowException, OSError, KeyError) as error:
        problem = "The gallery's cache is damaged, or was replaced meanwhile; search again, or remove it."
        raise DataError(problem, got=error, where=path) from error


def write_cache(path: Path, table: pa.Table) -> None:
    """Replace the file at once, so that another process reads the old one or the new one; both are for this user alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
    with atomic_file(path) as partial:
        partial.touch(PRIVATE_FILE)
        pq.write_table(table, partial, row_group_size=ROWS_A_GROUP, write_page_checksum=True)
