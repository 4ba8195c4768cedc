"""Features of many photographs, each looked at once, in parts of a folder from which a run that was stopped goes on."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import atomic_file, read_json, write_json
from pipeline_lib.data.photos.bad_entries import printable
from pipeline_lib.delivery.identify.cache import PRIVATE_FILE, PRIVATE_FOLDER, SCHEMA, SMALL, STAMP
from pipeline_lib.delivery.identify.embedded import faces_of, looked_at
from pipeline_lib.delivery.identify.gallery import Photograph
from pipeline_lib.delivery.identify.model import Opened
from pipeline_lib.matching.scores.shared.faces import Faces

MODEL = "model.json"


@dataclass(frozen=True)
class Features:
    """What became of photographs.

    Attributes:
        row_of: path -> its row of `faces`.
        faces: of the usable ones; None where there is none. Held in memory: 0.5 kB a photograph of 128 values.
        problems: path -> why it cannot be used, in words.
    """

    row_of: Mapping[str, int]
    faces: Faces | None
    problems: Mapping[str, str]


def embed_photographs(paths: Sequence[Path], opened: Opened, folder: Path, num_workers: int) -> Features:
    """Detect, align and embed each photograph, in order, unless `folder` knows it as it is now.

    Args:
        paths: several may be one file.
        opened: the verifier.
        folder: made where it is not there, for this user alone; of another model it is made anew.
        num_workers: processes that detect; see core.parallel.map_batches.

    Raises:
        DataError: the folder cannot be written.
    """
    photographs, problems = _listed(paths)
    try:
        known = _known(folder, opened)
        done = set(zip(*(known[name].to_pylist() for name in ("key", *STAMP)), strict=True))
        new = [photo for photo in photographs if (photo.key, *photo.stamp) not in done]
        parts = [known]
        if new:
            number = len(list(folder.glob("part-*.parquet")))
            for table in looked_at(new, Path(os.sep), opened, num_workers):
                with atomic_file(folder / f"part-{number:06d}.parquet") as partial:
                    partial.touch(PRIVATE_FILE)
                    pq.write_table(table, partial)
                parts.append(table.select(SMALL))
                number += 1
    except OSError as error:
        raise DataError("Features cannot be written.", got=error.strerror or error, where=folder) from error
    return _features(pa.concat_tables(parts), photographs, problems)


def _listed(paths: Sequence[Path]) -> tuple[list[Photograph], dict[str, str]]:
    found: dict[str, Photograph] = {}
    problems: dict[str, str] = {}
    for path in paths:
        key = os.path.abspath(path)
        if key in found or key in problems:
            continue
        try:
            if printable(key) != key:
                raise OSError(0, "its name is no UTF-8")
            about = path.stat()
        except (OSError, ValueError) as error:
            problems[key] = f"unreadable (the operating system says: {getattr(error, 'strerror', None) or error})"
            continue
        found[key] = Photograph(key, path.name, (about.st_size, about.st_mtime_ns, about.st_ctime_ns))
    return list(found.values()), problems


def _known(folder: Path, opened: Opened) -> pa.Table:
    folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
    model = folder / MODEL
    if not model.is_file() or read_json(model) != {"digest": opened.digest}:
        shutil.rmtree(folder)
        folder.mkdir(mode=PRIVATE_FOLDER)
        write_json(model, {"digest": opened.digest})
    parts = sorted(folder.glob("part-*.parquet"))
    return pa.concat_tables(
        [SCHEMA.empty_table().select(SMALL), *(pq.read_table(part, columns=SMALL) for part in parts)]
    )


def _features(table: pa.Table, photographs: Sequence[Photograph], problems: dict[str, str]) -> Features:
    columns = (table[name].to_pylist() for name in ("key", *STAMP))
    row_of = {tuple(values): row for row, values in enumerate(zip(*columns, strict=True))}
    table = table.take(pa.array([row_of[photo.key, *photo.stamp] for photo in photographs], pa.int64()))
    reasons, details = table["reason"].to_pylist(), table["detail"].to_pylist()
    for photo, reason, detail in zip(photographs, reasons, details, strict=True):
        if reason is not None:
            problems[photo.key] = f"{reason.replace('_', ' ')} ({detail})"
    usable = [photo.key for photo in photographs if photo.key not in problems]
    kept = table.filter(pa.array([reason is None for reason in reasons], pa.bool_()))
    return Features({key: row for row, key in enumerate(usable)}, faces_of(kept) if usable else None, problems)
